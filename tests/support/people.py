"""Whoever is asked, in tests: two who may approve, and one who may not."""

from __future__ import annotations

from domain.people import People, Person

PEOPLE = People(
    {
        "Ann": Person(name="Ann", roles=("admin",), os_users=("ann",)),
        "Bob": Person(name="Bob", roles=("approver", "ml_lead"), os_users=("bob",)),
        "Cem": Person(name="Cem", roles=("viewer",), os_users=("cem",)),
    }
)
