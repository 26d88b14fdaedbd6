"""Put the files of the chosen kind in their places and remove those of the others."""

import shutil
from pathlib import Path

KINDS = Path("kinds")
CHOSEN = KINDS / "{{ cookiecutter.kind }}"

for file in sorted((CHOSEN / "src").iterdir()):
    file.rename(Path("src") / "{{ cookiecutter.__package }}" / file.name)
for file in sorted((CHOSEN / "tests").iterdir()):
    file.rename(Path("tests") / file.name)
(CHOSEN / "README.md").rename("README.md")
shutil.rmtree(KINDS)
