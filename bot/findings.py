"""One line of what `shipmate doctor` found."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """`mend` says what to do; empty if all is well."""

    what: str
    said: str
    mend: str = ""

    @property
    def well(self) -> bool:
        """Whether nothing has to be done."""
        return not self.mend
