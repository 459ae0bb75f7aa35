# Sources of Debian packages, for a step that runs apt-get. The mirrors are set above, and the step, which
# sources this, uses apt_options. It mounts further sources, their keys and variables at /run/apt.
# shellcheck shell=bash disable=SC1091,SC2034,SC2154
apt_folder=/tmp/apt-sources
mkdir -p "${apt_folder}/parts"
: > "${apt_folder}/sources.list"
base_files=()
for apt_file in /etc/apt/sources.list /etc/apt/sources.list.d/*.list /etc/apt/sources.list.d/*.sources; do
    [ ! -e "${apt_file}" ] || base_files+=("${apt_file}")
done
case "${apt_mirror}" in
'')
    [ -z "${base_files[*]}" ] || cp "${base_files[@]}" "${apt_folder}/parts"
    [ ! -e "${apt_folder}/parts/sources.list" ] || mv "${apt_folder}/parts/sources.list" "${apt_folder}"
    ;;
none) ;;
*)
    # The suites and components of the base image's sources that Debian has, at the mirror.
    apt_words=" $(cat /dev/null "${base_files[@]}" | sed 's/#.*//' | tr -s '[:space:]' ' ') "
    apt_codename=$(. /etc/os-release && echo "${VERSION_CODENAME}")
    apt_components=
    for apt_word in main contrib non-free non-free-firmware; do
        [[ ${apt_words} != *" ${apt_word} "* ]] || apt_components+=" ${apt_word}"
    done
    for apt_word in "${apt_codename}" "${apt_codename}"-{updates,security,backports} unstable sid; do
        apt_address=${apt_mirror}
        [[ ${apt_word} != *-security ]] || apt_address=${apt_security_mirror}
        [[ ${apt_words} != *" ${apt_word} "* || ${apt_address} == none ]] ||
            echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg]" \
                "${apt_address} ${apt_word}${apt_components}" >> "${apt_folder}/sources.list"
    done
    if [ ! -s "${apt_folder}/sources.list" ]; then
        echo "apt.mirror: the base image has no source of Debian ${apt_codename} that a mirror could replace" >&2
        exit 1
    fi
    ;;
esac
[ ! -e /run/apt/sources ] || cp /run/apt/sources/* "${apt_folder}/parts"
apt_options+=(-o "Dir::Etc::sourcelist=${apt_folder}/sources.list" -o "Dir::Etc::sourceparts=${apt_folder}/parts")
[ ! -e /run/apt/environment ] || . /run/apt/environment
