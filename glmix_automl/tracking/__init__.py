"""The journal shown in MLflow: the only folder that talks to a tracking server."""
