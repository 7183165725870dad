"""Files of credentials that cannot be used are named before the broker is asked."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from contracts.settings import BrokerSettings
from contracts.settings_source import ConfigurationError
from messaging.credentials import credentials


@pytest.mark.parametrize("name", ["nats_credentials", "nats_nkey_seed", "nats_tls_ca", "nats_tls_cert", "nats_tls_key"])
def test_a_file_that_is_not_there_is_named_with_its_setting(tmp_path: Path, name: str) -> None:
    missing = tmp_path / "nothing"
    given = {"nats_tls_cert": certified(tmp_path)[0]} if name == "nats_tls_key" else {}
    with pytest.raises(ConfigurationError, match=f"WAGGLE_{name.upper()}={missing} cannot be read: No such file"):
        credentials(BrokerSettings.model_validate({**given, name: missing}))


def test_an_authority_that_is_no_certificate_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    file.write_text("hello", encoding="utf-8")
    with pytest.raises(ConfigurationError, match=r"WAGGLE_NATS_TLS_CA=.* holds no certificate"):
        credentials(BrokerSettings(nats_tls_ca=file))


def test_a_certificate_and_the_key_of_another_are_refused(tmp_path: Path) -> None:
    (certificate, own), (_, other) = certified(tmp_path / "a"), certified(tmp_path / "b")
    assert "tls" in credentials(BrokerSettings(nats_tls_cert=certificate, nats_tls_key=own))
    with pytest.raises(ConfigurationError, match=r"WAGGLE_NATS_TLS_CERT=.*WAGGLE_NATS_TLS_KEY=.*belong together"):
        credentials(BrokerSettings(nats_tls_cert=certificate, nats_tls_key=other))


def test_without_any_of_them_there_is_nothing_to_show() -> None:
    assert credentials(BrokerSettings()) == {}


def certified(folder: Path) -> tuple[Path, Path]:
    """A certificate and its key."""
    folder.mkdir(exist_ok=True)
    certificate, key = folder / "cert.pem", folder / "key.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
            *("-days", "1", "-subj", "/CN=localhost", "-keyout", str(key), "-out", str(certificate)),
        ],
        check=True,
        capture_output=True,
    )
    return certificate, key
