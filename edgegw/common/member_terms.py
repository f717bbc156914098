"""What a driver agreed to: the terms under which a station may charge and discharge a car. Values only."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberTerms:
    """A driver as the station knows one: a pseudonym and the terms agreed with the representative."""

    member_id: str
    accept_retail: bool = True
    price_mtok_per_kwh_max: int = 400_000
    sells: bool = False
    price_mtok_per_kwh_min: int = 140_000
    soc_bp_min: int = 3_000
    battery_wh: int = 0
    discharge_efficiency_bp: int = 9_400
