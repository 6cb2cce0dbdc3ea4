"""What the parts of the live configuration are called."""

from shared.operators.access import Office


def buyer_names(office: Office) -> dict[int, str]:
    """Every buyer's, as configured now."""
    offers = (part for (section, _), part in office.records.versions.last_read().parts.items() if section == "offers")
    return {buyer["id"]: buyer["name"] for offer in offers for buyer in offer.get("buyers", ())}
