"""Questions by SQL over the journal's files of days: a table of Glue, and a workgroup of Athena. Unused they cost
nothing. The stack gives nobody the right to ask: that is for the operator's own IAM."""

from aws_cdk import Stack
from aws_cdk.aws_athena import CfnWorkGroup
from aws_cdk.aws_glue import CfnDatabase, CfnTable
from aws_cdk.aws_s3 import IBucket
from constructs import Construct

from shared.journal.rows import TYPES

MOST_BYTES = 10_000_000_000
"""Of files that one query reads: five cents, at $5 a terabyte."""
RESULTS = "athena/"
"""What the names of results in the journal's bucket begin with."""
RESULT_DAYS = 7
FIRST_DAY = "2026-01-01"
GLUE = {"BIGINT": "bigint", "VARCHAR": "string", "VARCHAR[]": "array<string>", "JSON": "string"}
"""The types of rows, as Glue has them."""


class Athena(Construct):
    """The table `days` has a partition for each UTC day, which is found by its name: nothing has to be loaded."""

    def __init__(self, scope: Construct, construct_id: str, *, name: str, bucket: IBucket) -> None:
        super().__init__(scope, construct_id)
        self.database_name = name.replace("-", "_")
        account = Stack.of(self).account
        database = CfnDatabase(
            self,
            "Database",
            catalog_id=account,
            database_input=CfnDatabase.DatabaseInputProperty(
                name=self.database_name, description="Files of Ringpost's journal"
            ),
        )
        table = CfnTable(
            self,
            "Days",
            catalog_id=account,
            database_name=self.database_name,
            table_input=CfnTable.TableInputProperty(
                name="days",
                description="A row for each event, by UTC days that are over",
                table_type="EXTERNAL_TABLE",
                partition_keys=[CfnTable.ColumnProperty(name="day", type="string")],
                parameters={
                    "EXTERNAL": "TRUE",
                    "classification": "parquet",
                    "projection.enabled": "true",
                    "projection.day.type": "date",
                    "projection.day.format": "yyyy-MM-dd",
                    "projection.day.range": f"{FIRST_DAY},NOW",
                    "storage.location.template": f"s3://{bucket.bucket_name}/days/day=${{day}}/",
                },
                storage_descriptor=CfnTable.StorageDescriptorProperty(
                    location=f"s3://{bucket.bucket_name}/days/",
                    columns=[CfnTable.ColumnProperty(name=column, type=GLUE[kind]) for column, kind in TYPES.items()],
                    input_format="org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat",
                    output_format="org.apache.hadoop.hive.ql.io.parquet.MapredParquetOutputFormat",
                    serde_info=CfnTable.SerdeInfoProperty(
                        serialization_library="org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe"
                    ),
                ),
            ),
        )
        table.add_resource_dependency(database)
        CfnWorkGroup(
            self,
            "WorkGroup",
            name=name,
            description="Questions over Ringpost's journal",
            recursive_delete_option=True,
            work_group_configuration=CfnWorkGroup.WorkGroupConfigurationProperty(
                enforce_work_group_configuration=True,
                bytes_scanned_cutoff_per_query=MOST_BYTES,
                publish_cloud_watch_metrics_enabled=True,
                result_configuration=CfnWorkGroup.ResultConfigurationProperty(
                    output_location=f"s3://{bucket.bucket_name}/{RESULTS}",
                    encryption_configuration=CfnWorkGroup.EncryptionConfigurationProperty(encryption_option="SSE_S3"),
                ),
            ),
        )
