"""Who is whom: the operators' user pool. What a user may do is said by the configuration, by the same name."""

from collections.abc import Sequence

from aws_cdk import Acknowledgment, Duration, RemovalPolicy, SecretValue, Validations
from aws_cdk.aws_cognito import (
    AccountRecovery,
    AuthFlow,
    CfnManagedLoginBranding,
    CfnUserPoolClient,
    CognitoDomainOptions,
    ManagedLoginVersion,
    Mfa,
    MfaSecondFactor,
    OAuthFlows,
    OAuthScope,
    OAuthSettings,
    PasswordPolicy,
    SignInAliases,
    UserPool,
    UserPoolClientIdentityProvider,
)
from aws_cdk.aws_secretsmanager import Secret
from constructs import Construct

from shared.functions import DASHBOARD

SHORTEST = Duration.minutes(5)
"""Of tokens: they are read once, and the session is ours."""
SESSION = Duration.hours(12)
"""As long as a session of the dashboard lasts at most, it is asked with the refresh token whether it stands."""


class SignIn(Construct):
    """A user pool with a managed login, and the dashboard as its one client.

    `urls` are the addresses that the dashboard has, `prefix` what the managed login's begins with: no other in the
    region may have it. Users are made by operators, never by themselves. With `second_factor` the managed login has
    them set up an authenticator app when they first come; without, it leaves them alone.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        name: str,
        prefix: str,
        urls: Sequence[str],
        second_factor: bool,
        deletion_protection: bool,
        removal_policy: RemovalPolicy,
    ) -> None:
        super().__init__(scope, construct_id)
        pool = UserPool(
            self,
            "Pool",
            user_pool_name=name,
            self_sign_up_enabled=False,
            sign_in_aliases=SignInAliases(username=True),
            sign_in_case_sensitive=True,  # as names of the configuration are
            password_policy=PasswordPolicy(
                min_length=12,
                require_digits=True,
                require_lowercase=True,
                require_symbols=True,
                require_uppercase=True,
                temp_password_validity=Duration.days(3),
            ),
            mfa=Mfa.REQUIRED if second_factor else Mfa.OPTIONAL,
            mfa_second_factor=MfaSecondFactor(sms=False, otp=True),
            account_recovery=AccountRecovery.EMAIL_ONLY,
            deletion_protection=deletion_protection,
            removal_policy=removal_policy,
        )
        domain = pool.add_domain(
            "Domain",
            cognito_domain=CognitoDomainOptions(domain_prefix=prefix),
            managed_login_version=ManagedLoginVersion.NEWER_MANAGED_LOGIN,
        )
        client = pool.add_client(
            "Client",
            generate_secret=True,
            auth_flows=AuthFlow(user_srp=True),
            o_auth=OAuthSettings(
                flows=OAuthFlows(authorization_code_grant=True),
                scopes=[OAuthScope.OPENID],
                callback_urls=[f"{url}{DASHBOARD}/signed_in" for url in urls],
                logout_urls=[f"{url}{DASHBOARD}/signed_out" for url in urls],
            ),
            supported_identity_providers=[UserPoolClientIdentityProvider.COGNITO],
            prevent_user_existence_errors=True,
            access_token_validity=SHORTEST,
            id_token_validity=SHORTEST,
            refresh_token_validity=SESSION,
            enable_token_revocation=True,
        )
        CfnManagedLoginBranding(  # without one the managed login has no pages
            self,
            "Branding",
            user_pool_id=pool.user_pool_id,
            client_id=client.user_pool_client_id,
            use_cognito_provided_values=True,
        )
        made = client.node.default_child
        assert isinstance(made, CfnUserPoolClient)  # noqa: S101 - the CDK does not say so
        # Not the CDK's own `user_pool_client_secret`: it would be read by one more function, at each deployment.
        self.secret = Secret(
            self,
            "Secret",
            description="What the dashboard is known by to its user pool",
            secret_string_value=SecretValue.resource_attribute(made.attr_client_secret),
            removal_policy=removal_policy,
        )
        self.pool_id = pool.user_pool_id
        self.client_id = client.user_pool_client_id
        self.issuer = f"https://{pool.user_pool_provider_name}"
        self.url = domain.base_url()
        Validations.of(self.secret).acknowledge(
            Acknowledgment(
                id="AwsSolutions::AwsSolutions-SMG4", reason="Cognito made it; a new one is made with a new client."
            )
        )
        Validations.of(pool).acknowledge(
            Acknowledgment(
                id="AwsSolutions::AwsSolutions-COG3",
                reason="Threat protection needs the plan Plus, 0.02 dollars a user and month: the operator's choice.",
            ),
            Acknowledgment(
                id="AwsSolutions::AwsSolutions-COG8",
                reason="The plan Essentials is free for the few users that an operator has.",
            ),
        )
        if not second_factor:
            Validations.of(pool).acknowledge(
                Acknowledgment(
                    id="AwsSolutions::AwsSolutions-COG2",
                    reason="The stage is for trying things out: a password alone will do.",
                )
            )
