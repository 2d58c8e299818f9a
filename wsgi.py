"""The service: `python wsgi.py` starts the supervisor and serves the pages. Commands never import this file."""

from __future__ import annotations

from dotenv import load_dotenv

load_dotenv(".flaskenv")

from app.serving import main  # noqa: E402 - the environment comes first

if __name__ == "__main__":
    main()
