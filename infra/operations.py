"""What an operator is told: the alarms, and one page of graphs."""

from collections.abc import Iterator, Mapping, Sequence

from aws_cdk import Duration, Stack
from aws_cdk.aws_cloudwatch import (
    Alarm,
    ComparisonOperator,
    Dashboard,
    GraphWidget,
    IMetric,
    MathExpression,
    Metric,
    Stats,
    TreatMissingData,
)
from aws_cdk.aws_cloudwatch_actions import SnsAction
from aws_cdk.aws_dynamodb import ITable
from aws_cdk.aws_iam import PolicyStatement, ServicePrincipal
from aws_cdk.aws_lambda import IFunction
from aws_cdk.aws_sns import Topic
from aws_cdk.aws_sns_subscriptions import EmailSubscription
from constructs import Construct

NAMESPACE = "Ringpost"
VERBS = ("ping", "post", "full")
REFUSALS = ("no_matching_buyer", "no_number_available", "ping_id_expired", "unauthorized", "temporarily_unavailable")
"""Those on the page; every status has its metric, `Refused_` and the status."""

FEW_MINUTES = Duration.minutes(5)
P99_MS = 1500
"""Publishers give up after two to five seconds. Looked at in the functions: at the API, operators' pages, which take
seconds, would count too."""
ERRORS = 5
"""In five minutes. A single one may be a restarted host of AWS's; the publisher was told to send it again."""
POOL_USE_PERCENT = 75
PINGS_WORTH_A_SALE = 20
"""In an hour. Fewer may all be lost to another marketplace."""


class Operations(Construct):
    """Every alarm tells the addresses when it begins and when it is over. No data is no alarm: at night nobody calls.

    `service` is the dimension of the metrics that the functions write.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        service: str,
        api_id: str,
        functions: Sequence[IFunction],
        hourly: IFunction,
        tables: Sequence[ITable],
        addresses: Sequence[str],
    ) -> None:
        super().__init__(scope, construct_id)
        topic = Topic(self, "Topic", enforce_ssl=True)
        topic.add_to_resource_policy(  # which takes the place of the one that lets the whole account write
            PolicyStatement(
                actions=["sns:Publish"],
                principals=[ServicePrincipal("cloudwatch.amazonaws.com")],
                resources=[topic.topic_arn],
                conditions={"StringEquals": {"aws:SourceAccount": Stack.of(self).account}},
            )
        )
        for address in addresses:
            topic.add_subscription(EmailSubscription(address))

        def alarm(name: str, metric: IMetric, at_least: float, description: str, periods: int = 1) -> None:
            made = Alarm(
                self,
                name,
                metric=metric,
                threshold=at_least,
                comparison_operator=ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
                evaluation_periods=periods,
                treat_missing_data=TreatMissingData.NOT_BREACHING,
                alarm_description=description,
            )
            made.add_alarm_action(SnsAction(topic))
            made.add_ok_action(SnsAction(topic))

        errors = _of_api(api_id, "5xx", Stats.SUM)
        p99 = {f"p99_{verb}": _ours(service, verb, "Latency", Stats.percentile(99)) for verb in VERBS}
        by_lambda, by_dynamodb = _throttled(functions, tables)
        use = {verb: _ours(service, verb, "PoolUse", Stats.percentile(90)) for verb in VERBS[1:]}
        exhausted = _sum("Pool exhausted", _by_verb(service, "PoolExhausted"))
        pings, sales = _by_verb(service, "Pings"), _by_verb(service, "Sales")
        many, none = f"SUM([{', '.join(pings)}]) >= {PINGS_WORTH_A_SALE}", f"SUM([{', '.join(sales)}]) < 1"

        alarm(
            "Errors",
            errors,
            ERRORS,
            "Answers were 5xx: a function failed, or DynamoDB did not answer. The functions' logs say where.",
        )
        alarm(
            "Slow",
            MathExpression(expression="MAX(METRICS())", using_metrics=p99, period=FEW_MINUTES, label="p99"),
            P99_MS,
            "One PING, POST or FULL in a hundred took this many milliseconds or longer in its function.",
            periods=3,
        )
        alarm("Throttled", by_lambda, 1, "Lambda refused calls: the account's concurrency is at its limit.")
        alarm("TablesThrottled", by_dynamodb, 1, "DynamoDB refused calls: a partition is at its limit.")
        alarm(
            "PoolNearlyFull",
            MathExpression(expression="MAX(METRICS())", using_metrics=use, period=FEW_MINUTES, label="Pool use"),
            POOL_USE_PERCENT,
            "For a tenth of the sales, so much of the pool was in use. Add numbers before it is exhausted.",
            periods=3,
        )
        alarm("PoolExhausted", exhausted, 1, "A caller was sold while no number of the pool was free.")
        alarm(
            "NoSales",
            MathExpression(
                expression=f"IF({many} AND {none}, 1, 0)",
                using_metrics=pings | sales,
                period=Duration.hours(1),
                label="Pings, but no sale",
            ),
            1,
            f"At least {PINGS_WORTH_A_SALE} leads were priced in an hour, and none was sold.",
        )

        alarm(
            "HourlyFailed",
            hourly.metric_errors(statistic=Stats.SUM, period=Duration.hours(1)),
            1,
            "The hourly repair of caps, and removal of old leads, failed. The function's log says where.",
        )

        page = Dashboard(self, "Page", dashboard_name=service, default_interval=Duration.days(1))
        page.add_widgets(
            _graph("Pings, bids, sales", [_sum(name, _by_verb(service, name)) for name in ("Pings", "Bids", "Sales")]),
            _graph(
                "Refusals",
                [_sum(status, _by_verb(service, f"Refused_{status}")) for status in REFUSALS],
            ),
            _graph("Pool use, percent (p90), and exhaustions", [*use.values()], right=[exhausted]),
        )
        page.add_widgets(
            _graph(
                "Answer, milliseconds",
                [_of_api(api_id, "Latency", Stats.percentile(percent)) for percent in (50, 99)],
            ),
            _graph("In the function, milliseconds (p99)", [*p99.values()]),
            _graph("Requests, 4xx and 5xx", [_of_api(api_id, name, Stats.SUM) for name in ("Count", "4xx")] + [errors]),
        )
        page.add_widgets(
            _graph("Throttled", [by_lambda, by_dynamodb]),
            _graph(
                "Functions at once",
                [each.metric("ConcurrentExecutions", statistic=Stats.MAXIMUM) for each in functions],
            ),
        )


def _of_api(api_id: str, name: str, statistic: str) -> Metric:
    dimensions = {"ApiId": api_id}
    return Metric(
        namespace="AWS/ApiGateway", metric_name=name, dimensions_map=dimensions, statistic=statistic, period=FEW_MINUTES
    )


def _ours(service: str, verb: str, name: str, statistic: str) -> Metric:
    dimensions = {"service": service, "function": verb}
    return Metric(
        namespace=NAMESPACE,
        metric_name=name,
        dimensions_map=dimensions,
        statistic=statistic,
        period=FEW_MINUTES,
        label=f"{name} {verb}",
    )


def _by_verb(service: str, name: str) -> dict[str, IMetric]:
    return {f"{name[0].lower()}{name[1:]}_{verb}": _ours(service, verb, name, Stats.SUM) for verb in VERBS}


def _sum(label: str, metrics: Mapping[str, IMetric]) -> MathExpression:
    return MathExpression(expression="SUM(METRICS())", using_metrics=metrics, period=FEW_MINUTES, label=label)


def _throttled(functions: Sequence[IFunction], tables: Sequence[ITable]) -> Iterator[MathExpression]:
    """One for each service: an alarm may look at ten metrics."""
    throttles = [function.metric_throttles(statistic=Stats.SUM) for function in functions]
    names = ("ReadThrottleEvents", "WriteThrottleEvents")
    events = [table.metric(name, statistic=Stats.SUM) for table in tables for name in names]
    for service, metrics in {"Lambda": throttles, "DynamoDB": events}.items():
        yield _sum(f"By {service}", {f"{service.lower()}{place}": metric for place, metric in enumerate(metrics)})


def _graph(title: str, left: Sequence[IMetric], right: Sequence[IMetric] = ()) -> GraphWidget:
    return GraphWidget(title=title, left=[*left], right=[*right], width=8)
