# SPDX-License-Identifier: LGPL-2.1-or-later
# Completion of hosted-engine-cleanup for bash: the options of its help, which it is tested equal to. Asks nothing of the host.

complete -W "-q --quiet -h --help" hosted-engine-cleanup
