# What scripts that make FOLDER anew from DATA ask first, before a file is gone or an hour spent.

# stop MESSAGE [CODE]: one line on stderr, and the end
stop() {
  echo "$(basename "$0"): error: $1" >&2
  exit "${2:-2}"
}

# data_folder DATA FILE...: the full path of DATA, if every FILE is in it
data_folder() {
  [ -n "${1:-}" ] || stop "no DATA given; usage: $(basename "$0") DATA [FOLDER]"
  [ -d "$1" ] || stop "$1: no such folder" 4
  local file
  for file in "${@:2}"; do
    [ -e "$1/$file" ] || stop "$1: no $file in it" 4
  done
  (cd "$1" && pwd)
}

# has_column TABLE NAME
has_column() {
  [[ $(cprtools inspect "$1" --rows 0) == *$'\n'"  $2 "* ]]
}

# has_text PRODUCTS: titles, or columns that EMBED names for embed-text to read
has_text() {
  [[ ${EMBED:-} == *--text* ]] || has_column "$1" title
}

# without METHODS NAME...: the other methods; stderr is told which are left out
without() {
  local name left=" $1 "
  for name in "${@:2}"; do
    [[ $left == *" $name "* ]] || continue
    echo "$(basename "$0"): $name is left out: products.parquet has nothing that it knows products by" >&2
    left=${left/" $name "/ }
  done
  [ -n "${left// }" ] || stop "no method is left" 3
  echo $left
}

# check_new FOLDER READ...: FOLDER is removed or written over, so nothing that is read may be there
check_new() {
  local path=$1/ folder read place
  if [ ! -d "$1" ]; then
    # mkdir -p would make DATA/new of DATA/new/.. and lead back to DATA
    if [[ $path == */../* && ! -d ${path%/../*} ]]; then
      stop "$1: no such folder before .."
    fi
    return 0
  fi
  folder=$(cd "$1" && pwd -P)
  for read in "${@:2}"; do
    place=$read
    [ -d "$place" ] || place=$(dirname "$place")
    place=$(cd "$place" && pwd -P)
    case $place/ in
      "$folder"/*) stop "$1: is written anew, and $read lies in it; name another FOLDER" ;;
    esac
  done
}

# make_anew FOLDER: empty; of what is there only an earlier run's is removed
make_anew() {
  local mark=$1/.made-anew
  [ ! -e "$1" ] || [ -d "$1" ] || stop "$1: is a file; name another FOLDER"
  [ ! -d "$1" ] || [ -e "$mark" ] || [ -z "$(ls -A "$1")" ] ||
    stop "$1: holds files, and no mark of an earlier run; remove it, or name another FOLDER"
  rm -rf "$1" && mkdir -p "$1" && touch "$mark"
}
