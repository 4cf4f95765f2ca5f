"""What an administrator sends and reads about accounts. A secret is shown once, in the answer that made it."""

from typing import Annotated

from pydantic import Field, StringConstraints

from contract_service.institutions.schemas import InstitutionCode
from shared.kit.caller import Role
from shared.kit.fields import Answer, Body, Flag, Moment, Text, TownshipCode, VillageCode

# Lower case only: two accounts that look alike would be one in a clerk's eye.
NAME_PATTERN = r"^[a-z][a-z0-9._-]{2,59}$"
AccountName = Annotated[str, StringConstraints(strict=True, pattern=NAME_PATTERN)]
PublicKey = Annotated[str, StringConstraints(strict=True, min_length=50, max_length=4000)]


class UserCreate(Body):
    """A member of staff of the administrator's own county."""

    username: AccountName = Field(description="用户名：小写字母开头，3–60 位")
    name: Text = Field(description="姓名")
    roles: Annotated[list[Role], Field(min_length=1, max_length=5)] = Field(description="角色")
    institution_code: InstitutionCode | None = Field(default=None, description="所属医疗机构")
    township_code: TownshipCode | None = Field(default=None, description="所属乡镇")
    village_code: VillageCode | None = Field(default=None, description="所属村")
    department: Annotated[Text, Field(max_length=60)] | None = Field(default=None, description="所属部门")


class UserRead(Answer):
    """A person's account, without anything secret."""

    username: str
    name: str
    roles: list[str]
    county_code: str
    institution_code: str | None
    township_code: str | None
    village_code: str | None
    department: str | None
    active: bool = Field(description="未被管理员锁定")
    demo: bool = Field(description="演示账号：不强制改密，不用动态口令")
    must_change_password: bool = Field(description="尚未修改初始密码")
    totp_confirmed_at: Moment | None = Field(description="绑定动态口令的时间")
    created_by: str
    created_at: Moment


class UserMade(UserRead):
    """The account with its first password, shown this once."""

    first_password: str | None = Field(default=None, description="初始密码：仅显示一次，首次登录须修改")


class UserPage(Answer):
    items: list[UserRead]
    next_cursor: str | None


class ClientCreate(Body):
    """The system of one institution. With a public key it has no secret at all (private_key_jwt)."""

    client_id: AccountName = Field(description="客户端编号")
    institution_code: InstitutionCode = Field(description="所代表的医疗机构")
    public_key: PublicKey | None = Field(
        default=None, description="公钥（PEM）：Ed25519、P-256 或 2048 位以上 RSA；不填则发给密钥"
    )


class ClientRead(Answer):
    """A machine's account, without anything secret."""

    client_id: str
    roles: list[str]
    county_code: str
    institution_code: str | None
    active: bool = Field(description="未被管理员锁定")
    has_secret: bool = Field(description="是否可用密钥取得令牌")
    created_by: str
    created_at: Moment


class ClientMade(ClientRead):
    """The account with its secret, shown this once; none where a public key was registered."""

    client_secret: str | None = Field(default=None, description="密钥：仅显示一次")


class ClientPage(Answer):
    items: list[ClientRead]
    next_cursor: str | None


class KeyRegister(Body):
    """The public half of a key pair; the private half never leaves the hospital."""

    public_key: PublicKey = Field(description="公钥（PEM）")
    withdraw_secret: Flag = Field(description="同时停用密钥，只认签名断言")


class KeyRead(Answer):
    """A registered key. Its id may stand as ``kid`` in the head of an assertion."""

    key_id: str
    algorithm: str
    public_key: str
    registered_by: str
    registered_at: Moment
    withdrawn_at: Moment | None


class KeyList(Answer):
    items: list[KeyRead]
