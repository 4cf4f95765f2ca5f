"""Every capability's models are imported here, or Alembic would think their tables are gone."""

from contract_service.accounts import models as accounts
from contract_service.database import Base
from contract_service.institutions import models as institutions
from contract_service.residents import models as residents
from contract_service.tokens import models as tokens
from shared.kit import migrations
from shared.kit.database import MessagingBase

CAPABILITIES = (institutions, residents, accounts, tokens)

migrations.run([Base.metadata, MessagingBase.metadata])
