"""Diagnoses a station: `doctor` checks it part by part, `support_bundle` collects what a supporter needs."""
