"""Paste-ready lines for the first screen. Pure: text from URLs and keys."""

from __future__ import annotations


def shell(*, gateway_url: str, access_key: str, secret_key: str, region: str) -> str:
    """aws and rclone, ready for a shell; one set of variables serves both and boto3."""
    return "\n".join(
        (
            f"export AWS_ENDPOINT_URL_S3={gateway_url} AWS_DEFAULT_REGION={region}",
            f"export AWS_ACCESS_KEY_ID={access_key}",
            f"export AWS_SECRET_ACCESS_KEY={secret_key}",
        )
    )


def aws() -> str:
    """aws-cli, after the variables."""
    return "aws s3 mb s3://first && aws s3 cp FILE s3://first/"


def rclone(*, gateway_url: str) -> str:
    """rclone, after the variables, without a configuration file."""
    options = f"--s3-provider Other --s3-env-auth --s3-endpoint {gateway_url}"
    return f"rclone copy DIRECTORY :s3:first/ {options}"


def boto3() -> str:
    """Python, after the variables."""
    return "import boto3; s3 = boto3.client('s3'); s3.upload_file('FILE', 'first', 'FILE')"
