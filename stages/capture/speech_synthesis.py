"""A voice for test sources: eSpeak NG, from the optional package espeakng-loader (GPL-3, loaded only if installed)."""

import ctypes
import importlib.util
from functools import cache

import av
import numpy as np
from numpy.typing import NDArray

from emopipe.pipeline.errors import MediaError
from emopipe.stages.media.audio import AudioConverter

# Of espeak-ng/speak_lib.h
_SYNCHRONOUS = 2  # sound goes to the callback, and espeak_Synth returns when it is done
_DO_NOT_EXIT = 0x8000
_POSITION_CHARACTER = 1
_UTF8 = 1
_CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)


def installed() -> bool:
    """Whether there is a voice."""
    return importlib.util.find_spec("espeakng_loader") is not None


@cache
def speak(*texts: str) -> list[NDArray[np.float32]]:
    """Each text as 16 kHz mono in -1..1, from its first sound on.

    eSpeak's sound depends on what was said before: so say all there is to say at once, and it is the same each time.

    Raises:
        MediaError: espeakng-loader is not installed, or does not work.
    """
    library, rate = _load()
    said: list[bytes] = []

    def collect(wave: "ctypes._Pointer[ctypes.c_short]", samples: int, events: int) -> int:
        if wave and samples:
            said.append(ctypes.string_at(wave, 2 * samples))
        return 0

    callback = _CALLBACK(collect)  # to be kept as long as it may be called
    library.espeak_SetSynthCallback(callback)
    spoken = []
    for text in texts:
        said.clear()
        data = text.encode()
        if library.espeak_Synth(data, len(data) + 1, 0, _POSITION_CHARACTER, 0, _UTF8, None, None) != 0 or not said:
            raise MediaError(
                f"eSpeak NG cannot say {text!r}; reinstall it: pip install --force-reinstall espeakng-loader"
            )
        spoken.append(_to_16k(np.frombuffer(b"".join(said), np.int16), rate))
    library.espeak_SetSynthCallback(None)
    return spoken


@cache
def _load() -> tuple[ctypes.CDLL, int]:
    """The library, and its sample rate in Hz."""
    if not installed():
        raise MediaError("the test source's voice needs espeakng-loader: pip install 'emopipe[demo]'")
    import espeakng_loader

    data = espeakng_loader.get_data_path()
    try:
        library = ctypes.CDLL(espeakng_loader.get_library_path())
    except OSError as error:
        raise MediaError(f"eSpeak NG cannot be loaded ({error}); use a recording as source instead") from None
    library.espeak_Synth.argtypes = [
        ctypes.c_char_p,
        ctypes.c_size_t,
        ctypes.c_uint,
        ctypes.c_int,
        ctypes.c_uint,
        ctypes.c_uint,
        ctypes.c_void_p,
        ctypes.c_void_p,
    ]
    rate = library.espeak_Initialize(_SYNCHRONOUS, 0, data.encode(), _DO_NOT_EXIT)
    if rate <= 0 or library.espeak_SetVoiceByName(b"en-us") != 0:
        # It keeps the path in a buffer of fixed size.
        raise MediaError(
            f"eSpeak NG cannot read its data in {data} ({len(data)} characters); if that is over 150 characters, "
            "make the virtual environment in a shorter path"
        )
    return library, rate


def _to_16k(wave: NDArray[np.int16], rate: int) -> NDArray[np.float32]:
    loud = np.flatnonzero(np.abs(wave.astype(np.int32)) > 300)
    wave = wave[loud[0] if len(loud) else 0 :]
    frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(wave[None]), format="s16", layout="mono")
    frame.sample_rate = rate
    sound = AudioConverter()
    blocks = [*sound.push(frame), *sound.flush()]
    return np.concatenate([block.samples for block in blocks])
