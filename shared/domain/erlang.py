"""How many numbers a ring pool needs: Erlang's loss formula (formula B).

A. K. Erlang, "Solution of some Problems in the Theory of Probabilities of Significance in Automatic Telephone
Exchanges", 1917; its recursion as in V. B. Iversen, "Teletraffic Engineering and Network Planning", chapter 4.
"""

BLOCKING = 0.01
"""One caller in a hundred finds no number."""
HOUR = 3600


def blocking(load: float, numbers: int) -> float:
    """The share of callers that find every number taken. `load` is in Erlang: callers who would each hold a number at
    once, if there were enough."""
    share = 1.0
    for number in range(1, numbers + 1):
        share = load * share / (number + load * share)
    return share


def numbers_needed(sales_per_hour: float, lease_seconds: int, target: float = BLOCKING) -> int:
    """The fewest numbers with which at most `target` of the callers find none. A number is taken for its whole lease,
    the cooldown included."""
    load, numbers, share = sales_per_hour * lease_seconds / HOUR, 0, 1.0
    while share > target and load:
        numbers += 1
        share = load * share / (numbers + load * share)
    return numbers
