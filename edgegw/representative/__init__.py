"""The organisation's representative: members, logins, cards, personal data, currency exchange; as library, server and client."""
