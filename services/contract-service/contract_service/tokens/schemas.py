"""What the token endpoints answer, and the published keys."""

from typing import Literal

from pydantic import BaseModel, Field


class TokenRead(BaseModel):
    """An access token (RFC 6749, section 5.1)."""

    access_token: str
    token_type: Literal["Bearer"] = "Bearer"
    expires_in: int = Field(description="有效秒数")
    refresh_token: str | None = Field(default=None, description="刷新令牌：仅用一次，仅发给人员账号")
    scope: str = Field(description="角色，以空格分隔")


class SignedOutRead(BaseModel):
    """Always the same, whatever the token was (RFC 7009)."""

    status: Literal["signed_out"] = "signed_out"


class PasswordChangedRead(BaseModel):
    """The new password is good from now on; every earlier sign-in is over."""

    status: Literal["password_changed"] = "password_changed"


class EnrolmentRead(BaseModel):
    """The secret of an authenticator app, shown once; the next sign-in with a code confirms it."""

    secret: str = Field(description="动态口令密钥（Base32），请在手机验证器中录入")
    otpauth_uri: str = Field(description="二维码内容")


class SigningKeyRead(BaseModel):
    """A public key by which tokens are verified (RFC 8037)."""

    kty: Literal["OKP"] = "OKP"
    crv: Literal["Ed25519"] = "Ed25519"
    use: Literal["sig"] = "sig"
    alg: Literal["EdDSA"] = "EdDSA"
    kid: str
    x: str


class KeySetRead(BaseModel):
    """All keys in use: the one that signs, its successor published ahead, and those whose tokens still run."""

    keys: list[SigningKeyRead]
