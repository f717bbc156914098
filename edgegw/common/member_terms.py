"""The terms on which a station may charge and discharge a member's car. A value without rules."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberTerms:
    """A member's pseudonym, and the terms agreed with the representative.

    `accept_retail`: buy from the retailer what the market does not supply, up to `price_mtok_per_kwh_max`. `sells`: the car
    may discharge, from `price_mtok_per_kwh_min` up and down to `soc_bp_min` (basis points of `battery_wh`).
    """

    member_id: str
    accept_retail: bool = True
    price_mtok_per_kwh_max: int = 400_000
    sells: bool = False
    price_mtok_per_kwh_min: int = 140_000
    soc_bp_min: int = 3_000
    battery_wh: int = 0
    discharge_efficiency_bp: int = 9_400
