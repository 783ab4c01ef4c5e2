"""HTML pages from the templates beside this file; all that is put into them is escaped, but for drawings of ours."""

import jinja2

from glmix_automl.pages.numbers import format_seconds, number, p_value


def render(template: str, **values: object) -> str:
    """A page, whole in itself: it opens without network.

    Args:
        template: name of a file in `templates/`.
        values: what it speaks of.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("glmix_automl.pages"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"seconds": format_seconds, "p": p_value, "number": number}
    return environment.get_template(template).render(**values)
