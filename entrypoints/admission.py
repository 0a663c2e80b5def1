"""Which packages may be deployed: where signatures are required, none that came from elsewhere without one."""

from adapters.packages.signing import signer_of, trust_of
from adapters.settings import Settings
from projections.read_model import Row


def refuse_unsigned(settings: Settings, package: Row) -> None:
    """Invalid for an imported package that nobody signed whom we believe now; what was packed here is ours."""
    if not settings.require_signed_packages or not package["imported"]:
        return
    trust = trust_of(settings, signer_of(settings, settings.data_dir))
    trust.check(package["signed_by"] if package["signed_by"] in trust.keys else None)
