"""What an ablation shows, made of its result alone: a text, a page, pictures, and files for other programs."""

from gptlab.ablation.report.files import FILES, report_files, write_report
from gptlab.ablation.report.in_mlflow import shown_in_mlflow
from gptlab.ablation.report.terminal import terminal

__all__ = ["terminal", "report_files", "write_report", "FILES", "shown_in_mlflow"]
