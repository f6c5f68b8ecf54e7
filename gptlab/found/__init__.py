"""The plugins in files and folders named plugins: each is loaded as a module of this package, by its own name.

Where a launcher starts another process for jobs of a sweep, the config comes there as a pickle, in which a
plugin's types (an Enum that a field is annotated with) are names in its module: here they can be imported by.
"""

from gptlab.plugins.folders import plugin_folders

__path__ = [str(folder.path.resolve()) for folder in plugin_folders() if not folder.refusal]
