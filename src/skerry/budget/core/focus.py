"""Charges as FOCUS rows, the form that cost tools read.

Owns the columns (FinOps Open Cost and Usage Specification 1.0, all that it requires) and their
order. Amounts keep every digit: their sum is the ledger's, to the micro-unit.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping

from skerry.budget.core.money import MICRO, exact_money, rounded
from skerry.budget.core.periods import iso, month_of
from skerry.budget.core.rating import Charge
from skerry.budget.core.usage import Meter

QUANTITY_PLACES = 12
PROVIDER = "Skerry"
_CONSUMED = {
    Meter.REQUESTS: "Requests",
    Meter.EGRESS_BYTES: "Bytes",
    Meter.INGRESS_BYTES: "Bytes",
    Meter.STORE_BYTE_SECONDS: "Byte-Seconds",
    Meter.CPU_MICROSECONDS: "Microseconds",
    Meter.PULLS: "Requests",
    Meter.VAULT_CALLS: "Requests",
    Meter.NODE_SECONDS: "Seconds",
}
_CATEGORY = {
    Meter.STORE_BYTE_SECONDS: "Storage",
    Meter.VAULT_CALLS: "Storage",
    Meter.CPU_MICROSECONDS: "Compute",
    Meter.NODE_SECONDS: "Compute",
}
"""Of FOCUS's own; everything else is networking."""

COLUMNS = (
    "AvailabilityZone", "BilledCost", "BillingAccountId", "BillingAccountName", "BillingCurrency",
    "BillingPeriodEnd", "BillingPeriodStart", "ChargeCategory", "ChargeClass", "ChargeDescription",
    "ChargeFrequency", "ChargePeriodEnd", "ChargePeriodStart", "CommitmentDiscountCategory",
    "CommitmentDiscountId", "CommitmentDiscountName", "CommitmentDiscountStatus",
    "CommitmentDiscountType", "ConsumedQuantity", "ConsumedUnit", "ContractedCost",
    "ContractedUnitPrice", "EffectiveCost", "InvoiceIssuerName", "ListCost", "ListUnitPrice",
    "PricingCategory", "PricingQuantity", "PricingUnit", "ProviderName", "PublisherName",
    "RegionId", "RegionName", "ResourceId", "ResourceName", "ResourceType", "ServiceCategory",
    "ServiceName", "SkuId", "SkuPriceId", "SubAccountId", "SubAccountName", "Tags",
)  # fmt: skip


def focus_csv(charges: Iterable[Charge], *, node: str, currency: str) -> str:
    """One row for each charge, under the header. What FOCUS allows to be null is empty."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, restval="", lineterminator="\r\n")
    writer.writeheader()
    for charge in charges:
        writer.writerow(_row(charge, node, currency))
    return text.getvalue()


def _row(charge: Charge, node: str, currency: str) -> Mapping[str, str]:
    who, price = charge.dimension, charge.price
    month = month_of(charge.start)
    money = exact_money(charge.micro)
    unit_price = _decimal(price.micro, price.per * MICRO)
    place = f"{who.site}{who.route}" if who.site else who.upstream or node
    sku = f"{price.name}/{price.unit_label}"
    return {
        "BilledCost": money,
        "BillingAccountId": node,
        "BillingAccountName": node,
        "BillingCurrency": currency,
        "BillingPeriodEnd": iso(month.end),
        "BillingPeriodStart": iso(month.start),
        "ChargeCategory": "Usage",
        "ChargeDescription": f"{price.name} of {place}",
        "ChargeFrequency": "Usage-Based",
        "ChargePeriodEnd": iso(charge.end),
        "ChargePeriodStart": iso(charge.start),
        "ConsumedQuantity": f"{charge.quantity}.0",
        "ConsumedUnit": _CONSUMED[price.meter],
        "ContractedCost": money,
        "ContractedUnitPrice": unit_price,
        "EffectiveCost": money,
        "InvoiceIssuerName": PROVIDER,
        "ListCost": money,
        "ListUnitPrice": unit_price,
        "PricingCategory": "Standard",
        "PricingQuantity": _decimal(charge.quantity, price.unit_size(charge.start)),
        "PricingUnit": price.unit_label,
        "ProviderName": PROVIDER,
        "PublisherName": PROVIDER,
        "ResourceId": place,
        "ResourceName": place,
        "ResourceType": "Route" if who.site else "Upstream" if who.upstream else "Node",
        "ServiceCategory": _CATEGORY.get(price.meter, "Networking"),
        "ServiceName": price.name,
        "SkuId": sku,
        "SkuPriceId": f"{sku}/{iso(price.valid_from)}",
        "SubAccountId": who.tenant,
        "SubAccountName": who.tenant,
        "Tags": _tags({"workflow": who.workflow, "data_class": who.data_class}),
    }


def _tags(named: Mapping[str, str]) -> str:
    return json.dumps({name: value for name, value in named.items() if value}, sort_keys=True)


def _decimal(numerator: int, denominator: int) -> str:
    """A ratio in digits, of which there may be no end."""
    scaled = rounded(numerator * 10**QUANTITY_PLACES, denominator)
    whole, part = divmod(scaled, 10**QUANTITY_PLACES)
    digits = f"{part:0{QUANTITY_PLACES}d}".rstrip("0")
    return f"{whole}.{digits or '0'}"  # always with a point: readers guess a column's type
