"""Every way contract-service says no.

Problem
├── TokenRefused                    no token is given; `error` repeats the code as RFC 6749 names it
│   ├── InvalidTokenRequest         400  not form-encoded, a field missing or twice
│   ├── UnsupportedGrantType        400
│   ├── RefreshRefused              400  invalid_grant: unknown, used, expired or revoked refresh token
│   ├── SignInRefused               401  invalid_grant: user name, password or code wrong
│   ├── InvalidClient               401  client id, secret or assertion wrong
│   ├── PasswordChangeRequired      403  the first password is to be changed (POST /oauth/password)
│   ├── TotpEnrolmentRequired       403  no authenticator yet, or its first code is wrong (POST /oauth/totp)
│   ├── TotpRequired                403  the code of the authenticator is missing
│   ├── DemoAccountFixed            403  a demo's account keeps the password of its file
│   ├── TotpAlreadyEnrolled         409  the administrator resets it
│   └── SignInLocked                429  too many failures under this name or from this address
├── OwnAccount                      403  nobody locks or resets himself
├── AccountExists                   409  the name is taken, by a person or a machine
├── AccountOfDeployment             409  a demo's account is changed where it is written
├── TooManyKeys                     409
├── OtherCountysInstitution         403  another county's health bureau registered it
├── InstitutionAlreadyRegistered    409
├── ResidentAlreadyRegistered       409  the identity number stands in the county's register
├── MergePatchExpected              415
├── PreconditionRequired            428  (kit) PreconditionFailed 412
└── Invalid                         422  periods_overlap, dates_out_of_order, suspension_outside_period,
                                         village_outside_county, township_outside_county, date_in_future,
                                         birth_date_too_early, institution_code_fixed, identity_…
"""

from typing import Any

from shared.kit.problems import Problem
from shared.kit.strict_json import UnsupportedMediaType


class TokenRefused(Problem):
    """A refusal of the token endpoint, readable by an ordinary OAuth 2 client too."""

    def __init__(self, detail: str | None = None, **known: Any) -> None:
        super().__init__(detail, error=self.code, **known)


class InvalidTokenRequest(TokenRefused):
    status, code, title = 400, "invalid_request", "Not a token request"
    detail = "令牌请求格式不正确：应为表单编码（application/x-www-form-urlencoded），必填项不缺、不重复。"


class UnsupportedGrantType(TokenRefused):
    status, code, title = 400, "unsupported_grant_type", "No such grant type here"
    detail = "不支持的 grant_type：可用 client_credentials、password、refresh_token。"


class RefreshRefused(TokenRefused):
    status, code, title = 400, "invalid_grant", "The refresh token is not good"
    detail = "刷新令牌无效、已用过或已过期，请重新登录。"


class SignInRefused(TokenRefused):
    status, code, title = 401, "invalid_grant", "User name or password is wrong"
    detail = "用户名或密码不正确。"


class InvalidClient(TokenRefused):
    status, code, title = 401, "invalid_client", "Client id or secret is wrong"
    detail = "客户端编号或密钥不正确。"

    def __init__(self) -> None:
        super().__init__(headers={"WWW-Authenticate": 'Basic realm="three-batches"'})


class PasswordChangeRequired(TokenRefused):
    status, code, title = 403, "password_change_required", "The first password is to be changed"
    detail = "首次登录请先修改初始密码（POST /oauth/password）。"


class TotpEnrolmentRequired(TokenRefused):
    status, code, title = 403, "totp_enrolment_required", "An authenticator is to be enrolled"
    detail = "请先绑定动态口令（POST /oauth/totp），再用验证器上的口令登录。"


class TotpRequired(TokenRefused):
    status, code, title = 403, "totp_required", "The code of the authenticator is missing"
    detail = "请同时提供动态口令（totp）。"


class TotpAlreadyEnrolled(TokenRefused):
    status, code, title = 409, "totp_already_enrolled", "There is an authenticator already"
    detail = "动态口令已经绑定；如手机遗失，请联系系统管理员重置账号。"


class DemoAccountFixed(TokenRefused):
    status, code, title = 403, "demo_account_fixed", "A demo's account stays as it is"
    detail = "演示账号不能修改密码或绑定动态口令。"


class SignInLocked(TokenRefused):
    status, code, title = 429, "sign_in_locked", "Too many failures"
    detail = "登录失败次数过多，请按 Retry-After 所示秒数后再试，或请系统管理员解锁。"

    def __init__(self, seconds: int) -> None:
        super().__init__(headers={"Retry-After": str(seconds)})


class OwnAccount(Problem):
    status, code, title = 403, "own_account", "Not one's own account"
    detail = "不能锁定或重置自己的账号，请由另一名管理员办理。"


class AccountExists(Problem):
    status, code, title = 409, "account_already_exists", "The name is taken"
    detail = "该账号名已被使用。"


class AccountOfDeployment(Problem):
    status, code, title = 409, "account_of_deployment", "A demo's account is changed where it is written"
    detail = "演示账号随部署文件管理，不能在此重置。"


class TooManyKeys(Problem):
    status, code, title = 409, "too_many_keys", "As many keys as a client may have"
    detail = "该客户端的有效公钥已达上限，请先停用旧公钥。"


class OtherCountysInstitution(Problem):
    status, code, title = 403, "not_your_institution", "Registered by another county"
    detail = "该机构由其他县卫计局登记，只能由其修改。"


class InstitutionAlreadyRegistered(Problem):
    status, code, title = 409, "institution_already_registered", "The institution is registered already"
    detail = "该机构编码已登记；如需变更请修改原登记。"


class ResidentAlreadyRegistered(Problem):
    status, code, title = 409, "resident_already_registered", "The identity number is in the register already"
    detail = "该证件号码在本县已登记；如需变更请修改原登记。"


class MergePatchExpected(UnsupportedMediaType):
    detail = "Content-Type 应为 application/merge-patch+json。"
