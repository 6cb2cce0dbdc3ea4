"""What the local run says when it is ready."""

import sys

from tools import demo

BOLD, DIM, PLAIN = ("\033[1m", "\033[2m", "\033[0m") if sys.stdout.isatty() else ("", "", "")


def text(url: str, sandbox_url: str, seconds: float, tokens: dict[str, str], code: str) -> str:
    """`seconds` since the start. The commands work in any POSIX shell, in this order."""
    api = f"{url}/api/v1/inbound_webhooks"
    width = max(map(len, demo.ENDPOINTS))
    endpoints = "\n".join(f"  {vanity_uri:<{width}}  {purpose}" for vanity_uri, purpose in demo.ENDPOINTS.items())
    users = "\n".join(f"  {user:<{width}}  {token}" for user, token in tokens.items())
    return f"""
{BOLD}Ringpost is ready on {url}{PLAIN} ({seconds:.1f} s)

{DIM}Endpoints{PLAIN}
{endpoints}

{DIM}Tokens (auth_token=…): a publisher's, where one is required, and an operator's, who may ask why (explain=1){PLAIN}
{users}

{DIM}PING: who would buy this caller? Every buyer's bid has a ping_id.{PLAIN}
curl -sw '\\n' {api}/ping/my_endpoint -d '{demo.LEAD}'

{DIM}POST: sell the caller to the best buyer; with -d ping_id=… from a PING, to the buyer of your choice.{PLAIN}
curl -sw '\\n' {api}/post/my_endpoint -d '{demo.LEAD}'

{DIM}The caller dials the number that POST gave, if not this one, and the first buyer is busy. (In this folder){PLAIN}
make call ARGS="{demo.NUMBER} from {demo.CALLER} busy 1 talk 95"

{DIM}FULL: both in one request.{PLAIN}
curl -sw '\\n' {api}/full/my_endpoint -d '{demo.ANOTHER_LEAD}'

{DIM}Why not? The first rule that each of the others failed.{PLAIN}
curl -sw '\\n' {api}/ping/rules_endpoint -d '{demo.LEAD}' -d explain=1 -d auth_token={tokens["demo-operator"]}

{DIM}Live: a buyer that bids and accepts over HTTP. What it does with which ZIP: {sandbox_url}/{PLAIN}
curl -sw '\\n' {api}/full/live_endpoint -d '{demo.LEAD}'

{DIM}What there is to see, in a browser{PLAIN}
{url}/

{DIM}Posting instructions: what a publisher's developer needs, with a form to try it{PLAIN}
{url}/posting_instructions/my_endpoint

{DIM}Dashboard: this link signs you in once{PLAIN}
{f"{url}/dashboard/sign_in?code={code}" if code else "(none: the live configuration has no operator)"}

{DIM}Ctrl-C stops it.{PLAIN}
"""
