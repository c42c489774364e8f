# SPDX-License-Identifier: LGPL-2.1-or-later
# Puts README.md's section on safety into a manual page, in scdoc's words: `code` in bold, numbers as a list. Called
# while the manual is built: awk -f THIS README.md PAGE.scd
FNR == NR {
	if (/^## /)
		inside = ($0 == "## Why two never run")
	else if (inside) {
		gsub(/\\/, "\\\\")
		gsub(/_/, "\\_")
		gsub(/`/, "*")
		sub(/^ ?[0-9]+\. /, ". ")
		sub(/^    /, "  ")
		section = section $0 "\n"
	}
	next
}
$0 == "@SAFETY@" {
	gsub(/^\n+|\n+$/, "", section)
	print section
	found = section != ""
	next
}
{ print }
END { exit !found }
