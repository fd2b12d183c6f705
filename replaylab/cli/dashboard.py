"""Commands on the dashboard: serve it, and make tokens for its users."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from replaylab.cli.exit_codes import complain
from replaylab.cli.feeds import SECRET_ENVIRONMENT, secret_of, signals_kept
from replaylab.cli.options import StorePath
from replaylab.errors import SettingsError

if TYPE_CHECKING:
    from replaylab.service.tokens import Tokens

SecretFile = Annotated[
    Path | None, typer.Option(help=f"File with the secret of the tokens; else {SECRET_ENVIRONMENT} is read.")
]


def dashboard(  # noqa: PLR0913 each is an option
    store: StorePath,
    *,
    host: Annotated[str, typer.Option(help="Where to listen; another than this machine needs tokens.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port; 0 is any that is free.")] = 8766,
    socket: Annotated[Path | None, typer.Option(help="A Unix socket in place of a port.")] = None,
    secret_file: SecretFile = None,
    jwks: Annotated[
        str | None,
        typer.Option(help="Address of the public keys that tokens are signed for, or of an OpenID configuration."),
    ] = None,
    audience: Annotated[str, typer.Option(help="What tokens must be made for.")] = "replaylab",
    role_claim: Annotated[str, typer.Option(help="The claim of a token that holds its role.")] = "role",
    allow_host: Annotated[
        list[str] | None, typer.Option(help="A further name that the page is asked for under; * is any.")
    ] = None,
) -> None:
    """Serve a page that shows how the recorders of a store are doing, until Ctrl-C; also /metrics for Prometheus."""
    from replaylab.dashboards.server import serve_dashboard

    with signals_kept() as wait:
        server = serve_dashboard(
            store,
            host=host,
            port=port,
            path=socket,
            tokens=_tokens(secret_of(secret_file), jwks, audience),
            allow_hosts=allow_host or (),
            role_claim=role_claim,
        )
        complain(f"the dashboard of {store} is at {server.url}; Ctrl-C ends")
        code = wait(lambda: not server.is_serving)
    server.stop()
    if code:
        raise typer.Exit(code)


def _tokens(secret: str | None, jwks: str | None, audience: str) -> Tokens | None:
    from replaylab.service.tokens import Tokens

    if secret is not None and jwks is not None:
        raise SettingsError("tokens are checked with a secret or with the keys at --jwks, not with both")
    if jwks is not None:
        from replaylab.service.public_keys import PublicKeys

        return Tokens(audience=audience, keys=PublicKeys(jwks))
    return None if secret is None else Tokens(secret, audience)


def token(
    *,
    role: Annotated[str, typer.Option(help="view, record or admin; each may do what those before it may.")] = "view",
    seconds: Annotated[int, typer.Option(min=1, max=366 * 86_400, help="How long it is good for.")] = 86_400,
    subject: Annotated[str | None, typer.Option(help="Whom it is for; the log names it.")] = None,
    audience: Annotated[str, typer.Option(help="What it is made for.")] = "replaylab",
    secret_file: SecretFile = None,
) -> None:
    """Print a token for the dashboard or for a served feed, signed with a secret."""
    from replaylab.service.tokens import ROLES, Tokens

    secret = secret_of(secret_file)
    if secret is None:
        raise SettingsError(f"a token is signed with a secret: name --secret-file, or set {SECRET_ENVIRONMENT}")
    if role not in ROLES:
        raise SettingsError(f"--role {role!r}: must be one of {', '.join(ROLES)}")
    more: dict[str, Any] = {"role": role} | ({"sub": subject} if subject else {})
    typer.echo(Tokens(secret, audience).issue(seconds, more=more))
