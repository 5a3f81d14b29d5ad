"""What is wrong with a store, and what would make it faster or clearer?"""

from plugins.datacube.doctor.examine import examine
from plugins.datacube.doctor.report import Finding, LayoutCost, Report, Severity, render

__all__ = ["Finding", "LayoutCost", "Report", "Severity", "examine", "render"]
