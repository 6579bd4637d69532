#!/bin/sh
# Prints the directory that holds the CUDA driver headers (cuda.h, cudaTypedefs.h; 13.0 or
# newer). Without one it says what was found and how to get them, and fails. It never
# downloads anything and never touches package sources.
#
# CUDA_HOME, when set, is looked at first: a toolkit's root or its include directory.

old=
for dir in ${CUDA_HOME:+"$CUDA_HOME/include" "$CUDA_HOME"/targets/*/include "$CUDA_HOME"} \
	/usr/local/cuda*/include /usr/local/cuda*/targets/*/include /usr/include \
	/usr/include/cuda; do
	if ! [ -r "$dir/cuda.h" ] || ! [ -r "$dir/cudaTypedefs.h" ]; then
		continue
	fi
	version=$(sed -n 's/^#define CUDA_VERSION \([0-9]*\).*/\1/p' "$dir/cuda.h")
	if [ "${version:-0}" -ge 13000 ]; then
		echo "$dir"
		exit 0
	fi
	old="$old
  found $dir/cuda.h of CUDA $((${version:-0} / 1000)).$((${version:-0} % 1000 / 10)), too old"
done

cat >&2 <<END
The CUDA driver headers (cuda.h and cudaTypedefs.h, 13.0 or newer) were not found in
CUDA_HOME${CUDA_HOME:+ ($CUDA_HOME)}, /usr/local/cuda*, /usr/include or /usr/include/cuda.$old
Any one of these installs them; no GPU, driver or compiler from NVIDIA is needed:
  with NVIDIA's package source set up:   apt-get install cuda-cudart-dev-13-0
  from PyPI, into a directory of yours:  pip install --no-deps --target DIR 'nvidia-cuda-runtime==13.0.*'
                                         make CUDA_HOME=DIR/nvidia/cu13
Debian's own nvidia-cuda-dev package is CUDA 11.8 and too old.
END
exit 1
