"""Builds what makes files of packages and takes them in, as the settings say."""

from dataclasses import dataclass
from pathlib import Path

from adapters.package_settings import PackageSettings
from adapters.packages.importing import Importer
from adapters.packages.limits import Limits
from adapters.packages.signing import Signer, signer_of, trust_of
from application.ports.blobs import BlobStore


@dataclass(frozen=True, slots=True)
class PackageFiles:
    """Who signs what leaves, and who lets in what comes."""

    signer: Signer
    importer: Importer


def files_of(settings: PackageSettings, data_dir: Path, store: BlobStore) -> PackageFiles:
    """Files wait below DATA_DIR until they are checked, where what a dead process left is swept."""
    signer = signer_of(settings, data_dir)
    limits = Limits(settings.max_upload_bytes, settings.max_package_bytes, settings.max_package_ratio)
    return PackageFiles(signer, Importer(store, data_dir / "blobs" / "incoming", limits, trust_of(settings, signer)))
