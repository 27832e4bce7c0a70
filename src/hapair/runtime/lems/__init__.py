"""The daemon's side of Lems: who watches an application, what it is told, and what it finds."""
