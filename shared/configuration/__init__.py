"""The operator's configuration: the shape of its file, what has to hold in it, and the endpoints that it makes.

For the office and the commands. The functions that publishers call never import it: pydantic is slow to start.
"""

from shared.configuration.changes import Change, by_name, changes_between
from shared.configuration.checks import expand_numbers, owned_numbers
from shared.configuration.compiling import IMPLICIT, compile_buyers, compile_endpoints
from shared.configuration.file import (
    ACCOUNT,
    KEYS,
    LISTS,
    PARTS,
    PING_TTL_SECONDS,
    Account,
    Buyer,
    Configuration,
    ContactField,
    Endpoint,
    Offer,
    Parts,
    Plain,
    Provider,
    Retention,
    RingPool,
    User,
    account_of,
    document_of,
    from_records,
    records_of,
    retention_of,
)
from shared.configuration.problems import InvalidConfiguration, Path, Problem, by_names, dotted_path
from shared.configuration.reading import read

__all__ = [
    "ACCOUNT",
    "IMPLICIT",
    "KEYS",
    "LISTS",
    "PARTS",
    "PING_TTL_SECONDS",
    "Account",
    "Buyer",
    "Change",
    "Configuration",
    "ContactField",
    "Endpoint",
    "InvalidConfiguration",
    "Offer",
    "Parts",
    "Path",
    "Plain",
    "Problem",
    "Provider",
    "Retention",
    "RingPool",
    "User",
    "account_of",
    "by_name",
    "by_names",
    "changes_between",
    "compile_buyers",
    "compile_endpoints",
    "document_of",
    "dotted_path",
    "expand_numbers",
    "from_records",
    "owned_numbers",
    "read",
    "records_of",
    "retention_of",
]
