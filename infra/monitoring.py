"""What an operator is told: the alarms, and one page of graphs."""

from collections.abc import Iterator, Mapping, Sequence

from aws_cdk import Duration, Stack
from aws_cdk.aws_budgets import CfnBudget
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
from aws_cdk.aws_logs import FilterPattern, LogGroup, MetricFilter
from aws_cdk.aws_sns import Topic
from aws_cdk.aws_sns_subscriptions import EmailSubscription
from constructs import Construct

NAMESPACE = "Ringpost"
VERBS = ("ping", "post", "full")
JOURNAL = "journal"
HAPPENED, MONEY = ("Pings", "Unmatched", "Bids", "Sales"), ("RevenueCents", "PayoutCents")
CALLS = ("Calls", "ConnectedCalls", "ConvertedCalls", "NeverCalled")
CALL = "call"
"""The function that telephony providers call."""
REFUSALS = (
    "no_matching_buyer", "no_number_available", "too_many_leases", "ping_id_expired", "unauthorized",
    "temporarily_unavailable",
)  # fmt: skip
"""Those on the page; every status has its metric, `Refused_` and the status."""

FEW_MINUTES = Duration.minutes(5)
A_MINUTE = Duration.minutes(1)
LATE_MS = 60_000
P99_MS = 1500
"""Publishers give up after two to five seconds. Looked at in the functions: at the API, operators' pages, which take
seconds, would count too."""
ERRORS = 5
"""In five minutes. A single one may be a restarted host of AWS's; the publisher was told to send it again."""
REFUSED_401, REFUSED_429, BLOCKED = 100, 100, 1000
"""In five minutes: wrong tokens and codes, requests above a limit or a throttle, requests that the firewall blocked."""
BUDGET_PERCENT = (80, 100)
POOL_USE_PERCENT = 75
MINUTES_FAILED = 3
"""In an hour. What one run does not do the next one does; rows that are in no file are kept for three days."""
PINGS_WORTH_A_SALE = 20
"""In an hour. Fewer may all be lost to another marketplace."""
CALLS_WORTH_A_LOOK, CONNECTED_PERCENT = 20, 20
"""In an hour. A call that still lasts is not counted as connected yet."""
SALES_WORTH_A_LOOK, NEVER_CALLED_PERCENT = 20, 50
"""In an hour, of the sales whose hold ended without a call and the calls that came."""
WEBHOOKS_REFUSED = 20
"""In five minutes."""


class Operations(Construct):
    """Every alarm tells the addresses when it begins and when it is over. No data is no alarm: at night nobody calls.

    `service` is the dimension of the metrics that the functions write, `firewall` the name of the firewall's own.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        service: str,
        api_id: str,
        access_log: LogGroup,
        firewall: str | None,
        functions: Sequence[IFunction],
        call: IFunction,
        hourly: IFunction,
        minute: IFunction,
        journal: IFunction,
        tables: Sequence[ITable],
        addresses: Sequence[str],
        monthly_budget_dollars: int,
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

        if monthly_budget_dollars:
            _add_budget(self, service, topic, monthly_budget_dollars)
        errors = _of_api(api_id, "5xx", Stats.SUM)
        p99 = {f"p99_{verb}": _ours(service, verb, "Latency", Stats.percentile(99)) for verb in VERBS}
        by_lambda, reads, writes = _throttled(functions, tables)
        use = {verb: _ours(service, verb, "PoolUse", Stats.percentile(90)) for verb in VERBS[1:]}
        exhausted = _sum("Pool exhausted", _by_verb(service, "PoolExhausted"))
        skewed = _sum("Wrong clocks", _by_verb(service, "ClockSkew"))
        happened = {name: _ours(service, JOURNAL, name, Stats.SUM) for name in HAPPENED}
        money = {name: _ours(service, JOURNAL, name, Stats.SUM) for name in MONEY}
        calls = {name: _ours(service, JOURNAL, name, Stats.SUM) for name in CALLS}
        webhooks_refused = _ours(service, CALL, "WebhooksRefused", Stats.SUM)

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
        for name, throttled in {"ReadsThrottled": reads, "WritesThrottled": writes}.items():
            alarm(
                name,
                throttled,
                1,
                "DynamoDB refused calls: a partition is at its limit, or a table at its maximum in infra/stages.py.",
            )
        for status, at_least, why in (
            (401, REFUSED_401, "Somebody tries tokens, or a publisher's token is wrong."),
            (429, REFUSED_429, "A limit of an endpoint or a throttle of the stage is reached: a flood, or a good day."),
        ):
            alarm(
                f"Refused{status}",
                _count_answers(self, service, access_log, status),
                at_least,
                f"{at_least} answers or more in five minutes were {status}. {why}",
            )
        if firewall:
            blocked = Metric(
                namespace="AWS/WAFV2",
                metric_name="BlockedRequests",
                dimensions_map={"WebACL": firewall, "Rule": "ALL"},
                statistic=Stats.SUM,
                period=FEW_MINUTES,
            )
            alarm("Blocked", blocked, BLOCKED, f"The firewall blocked {BLOCKED} requests or more in five minutes.")
        alarm(
            "PoolNearlyFull",
            MathExpression(expression="MAX(METRICS())", using_metrics=use, period=FEW_MINUTES, label="Pool use"),
            POOL_USE_PERCENT,
            "For a tenth of the sales, so much of the pool was in use. Add numbers before it is exhausted.",
            periods=3,
        )
        alarm("PoolExhausted", exhausted, 1, "A caller was sold while no number of the pool was free.")
        alarm(
            "ClockSkew",
            skewed,
            1,
            "A function's clock is over two seconds off DynamoDB's; beyond a pool's cooldown it leases nothing.",
        )
        alarm(
            "NoSales",
            MathExpression(
                expression=f"IF(pings >= {PINGS_WORTH_A_SALE} AND sales < 1, 1, 0)",
                using_metrics={"pings": happened["Pings"], "sales": happened["Sales"]},
                period=Duration.hours(1),
                label="Pings, but no sale",
            ),
            1,
            f"At least {PINGS_WORTH_A_SALE} leads were priced in an hour, and none was sold.",
        )
        alarm(
            "CallsNotConnected",
            MathExpression(
                expression=f"IF(arrived >= {CALLS_WORTH_A_LOOK} "
                f"AND connected * 100 < arrived * {CONNECTED_PERCENT}, 1, 0)",
                using_metrics={"arrived": calls["Calls"], "connected": calls["ConnectedCalls"]},
                period=Duration.hours(1),
                label="Calls without a buyer",
            ),
            1,
            f"At least {CALLS_WORTH_A_LOOK} calls came in an hour, and a buyer was connected with fewer than "
            f"{CONNECTED_PERCENT} percent of them. The log of calls says what became of each.",
        )
        alarm(
            "NeverCalled",
            MathExpression(
                expression=f"IF(never + arrived >= {SALES_WORTH_A_LOOK} "
                f"AND never * 100 >= (never + arrived) * {NEVER_CALLED_PERCENT}, 1, 0)",
                using_metrics={"never": calls["NeverCalled"], "arrived": calls["Calls"]},
                period=Duration.hours(1),
                label="Sales that were never called",
            ),
            1,
            f"In an hour {NEVER_CALLED_PERCENT} percent of the sales or more ended without a call: publishers do not "
            "call the numbers they got, or the calls do not reach us. `./ringpost numbers check` says which do not.",
        )
        alarm(
            "WebhooksRefused",
            webhooks_refused,
            WEBHOOKS_REFUSED,
            "Webhooks of calls had no right signature: a provider's token was changed, or somebody tries.",
        )

        alarm(
            "HourlyFailed",
            hourly.metric_errors(statistic=Stats.SUM, period=Duration.hours(1)),
            1,
            "The hourly repair of caps failed. The function's log says where.",
        )
        alarm(
            "MinuteFailed",
            minute.metric_errors(statistic=Stats.SUM, period=Duration.hours(1)),
            MINUTES_FAILED,
            "The journal's rows do not become files. The log of the function Minute says why.",
        )
        alarm(
            "JournalLate",
            journal.metric("IteratorAge", statistic=Stats.MAXIMUM, period=A_MINUTE),
            LATE_MS,
            "The journal is this many milliseconds behind: it fails, or has no time. The log of its function says why.",
        )
        alarm(
            "JournalSetAside",
            _ours(service, JOURNAL, "SetAside", Stats.SUM),
            1,
            "The journal set aside a record it cannot read. Deploy one that can, then `./ringpost journal replay`.",
        )
        # A metric that is missing counts nothing in a sum, and nothing is expected where there are no pings either.
        pages = {"pages": _ours(service, JOURNAL, "JournalPages", Stats.SUM)}
        priced = _by_verb(service, "Priced")
        answered = f"SUM([{', '.join(priced)}])"
        alarm(
            "JournalSilent",
            MathExpression(
                expression=f"IF({answered} > 0 AND SUM([{', '.join([*priced, *pages])}]) <= {answered}, 1, 0)",
                using_metrics={**priced, **pages},
                period=A_MINUTE,
                label="Leads priced, but no page written",
            ),
            1,
            "For two minutes leads were priced, and the journal wrote no page: the stream does not reach its function.",
            periods=2,
        )

        page = Dashboard(self, "Page", dashboard_name=service, default_interval=Duration.days(1))
        page.add_widgets(
            _graph("Pings, bids, sales; amounts in cents", [*happened.values()], right=[*money.values()]),
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
            _graph("Calls, and sales never called", [*calls.values()]),
            _graph("Webhooks of calls, milliseconds (p99)", [call.metric_duration(statistic=Stats.percentile(99))]),
            _graph("Webhooks of calls that were refused", [webhooks_refused]),
        )
        page.add_widgets(
            _graph("Throttled, and wrong clocks", [by_lambda, reads, writes], right=[skewed]),
            _graph(
                "Functions at once",
                [each.metric("ConcurrentExecutions", statistic=Stats.MAXIMUM) for each in functions],
            ),
        )


def _count_answers(scope: Construct, service: str, access_log: LogGroup, status: int) -> Metric:
    """The metric of the answers with this HTTP status, also API Gateway's own, which are in no function's metric."""
    name = f"Answered{status}"
    MetricFilter(
        scope,
        name,
        log_group=access_log,
        filter_pattern=FilterPattern.string_value("$.status", "=", str(status)),
        metric_namespace=f"{NAMESPACE}/{service}",
        metric_name=name,
        metric_value="1",
    )
    return Metric(
        namespace=f"{NAMESPACE}/{service}", metric_name=name, statistic=Stats.SUM, period=FEW_MINUTES, label=name
    )


def _add_budget(scope: Construct, service: str, topic: Topic, dollars: int) -> None:
    """It counts the whole account: AWS knows the costs of a stack only by a tag that somebody has activated."""
    topic.add_to_resource_policy(
        PolicyStatement(
            actions=["sns:Publish"],
            principals=[ServicePrincipal("budgets.amazonaws.com")],
            resources=[topic.topic_arn],
            conditions={"StringEquals": {"aws:SourceAccount": Stack.of(scope).account}},
        )
    )

    def notice(kind: str, percent: int) -> CfnBudget.NotificationWithSubscribersProperty:
        return CfnBudget.NotificationWithSubscribersProperty(
            notification=CfnBudget.NotificationProperty(
                comparison_operator="GREATER_THAN", notification_type=kind, threshold=percent
            ),
            subscribers=[CfnBudget.SubscriberProperty(subscription_type="SNS", address=topic.topic_arn)],
        )

    CfnBudget(
        scope,
        "Budget",
        budget=CfnBudget.BudgetDataProperty(
            budget_name=service,
            budget_type="COST",
            time_unit="MONTHLY",
            budget_limit=CfnBudget.SpendProperty(amount=dollars, unit="USD"),
        ),
        notifications_with_subscribers=[
            *(notice("ACTUAL", percent) for percent in BUDGET_PERCENT),
            notice("FORECASTED", BUDGET_PERCENT[-1]),
        ],
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
    """Calls of functions, reads and writes of tables, one by one: an alarm may look at ten metrics."""
    throttled = {
        "Functions": [function.metric_throttles(statistic=Stats.SUM) for function in functions],
        "Reads": [table.metric("ReadThrottleEvents", statistic=Stats.SUM) for table in tables],
        "Writes": [table.metric("WriteThrottleEvents", statistic=Stats.SUM) for table in tables],
    }
    for what, metrics in throttled.items():
        yield _sum(what, {f"{what.lower()}{place}": metric for place, metric in enumerate(metrics)})


def _graph(title: str, left: Sequence[IMetric], right: Sequence[IMetric] = ()) -> GraphWidget:
    return GraphWidget(title=title, left=[*left], right=[*right], width=8)
