"""The tables of contract-service."""

from sqlalchemy import MetaData
from sqlalchemy.orm import DeclarativeBase

from shared.kit.database import NAMES, TYPES


class Base(DeclarativeBase):
    """Every table of this service but the messaging tables, which are the kit's."""

    metadata = MetaData(naming_convention=NAMES)
    type_annotation_map = TYPES
