"""Every capability's models are imported here, or Alembic would think their tables are gone."""

from shared.kit import migrations
from shared.kit.database import MessagingBase
from treatment_service.database import Base
from treatment_service.discharges import models as discharges
from treatment_service.registry import models as registry

CAPABILITIES = (discharges, registry)

migrations.run([Base.metadata, MessagingBase.metadata])
