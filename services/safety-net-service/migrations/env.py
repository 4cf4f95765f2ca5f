"""Every capability's models are imported here, or Alembic would think their tables are gone."""

from safety_net_service.bills import models as bills
from safety_net_service.claims import models as claims
from safety_net_service.database import Base
from safety_net_service.decisions import models as decisions
from safety_net_service.notices import models as notices
from safety_net_service.recoveries import models as recoveries
from safety_net_service.registry import models as registry
from safety_net_service.settlements import models as settlements
from safety_net_service.workdays import models as workdays
from shared.kit import migrations
from shared.kit.database import MessagingBase

CAPABILITIES = (registry, bills, settlements, decisions, recoveries, workdays, notices, claims)

migrations.run([Base.metadata, MessagingBase.metadata])
