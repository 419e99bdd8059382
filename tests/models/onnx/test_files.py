"""What an ONNX file says of itself, and one clear sentence for each that cannot be used."""

from pathlib import Path

import onnx
import pytest

from emopipe.models.onnx.files import read
from emopipe.pipeline.errors import ModelError
from tests.support.onnx_models import in_two_files, onnx_model


def test_input_output_and_labels_are_read(tmp_path: Path) -> None:
    file = read(onnx_model(tmp_path / "own.onnx", ("N", 64, 64, 1), ["calm", "wide awake"], over=(1, 2)))
    assert (file.input().name, file.input().dtype, file.input().shape) == ("input", "float32", (None, 64, 64, 1))
    assert file.output().shape == (None, 2)
    assert file.labels == ("calm", "wide awake")


@pytest.mark.parametrize(
    ("text", "labels"),
    [('["a", "b"]', ("a", "b")), ("a, b", ("a", "b")), ('{"0": "a", "1": "b"}', ("a", "b")), ("", ())],
)
def test_labels_stand_in_the_metadata_as_json_or_divided_by_commas(
    tmp_path: Path, text: str, labels: tuple[str, ...]
) -> None:
    path = onnx_model(tmp_path / "own.onnx", labels=["a", "b"], metadata=False)
    model = onnx.load(path)
    onnx.helper.set_model_props(model, {"labels": text})
    onnx.save_model(model, path)
    assert read(path).labels == labels


@pytest.mark.parametrize("text", ["[1, 2]", "7", "a, a", "a", "a, <b>"])
def test_a_metadata_entry_that_is_no_list_of_names_is_refused(tmp_path: Path, text: str) -> None:
    path = onnx_model(tmp_path / "own.onnx", metadata=False)
    model = onnx.load(path)
    onnx.helper.set_model_props(model, {"labels": text})
    onnx.save_model(model, path)
    with pytest.raises(ModelError, match=r'own\.onnx: its metadata entry "labels".* set labels = '):
        read(path)


def test_a_file_that_has_changed_is_read_anew(tmp_path: Path) -> None:
    first = read(onnx_model(tmp_path / "own.onnx", labels=["a", "b"]))
    second = read(onnx_model(tmp_path / "own.onnx", labels=["a", "b", "c"]))
    assert (first.labels, second.labels) == (("a", "b"), ("a", "b", "c"))


def test_what_is_no_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"none\.onnx: no such file; give the path of an ONNX model"):
        read(tmp_path / "none.onnx")
    with pytest.raises(ModelError, match="is a folder"):
        read(tmp_path)
    for content in (b"", b"not a model at all", bytes(range(256)) * 9):
        path = tmp_path / "text.onnx"
        path.write_bytes(content)
        with pytest.raises(ModelError, match=r"text\.onnx: no ONNX file, or a damaged one"):
            read(path)


def test_half_a_file_is_named(tmp_path: Path) -> None:
    path = onnx_model(tmp_path / "own.onnx")
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(ModelError, match="no ONNX file, or a damaged one"):
        read(path)


def test_operators_of_their_own_are_named(tmp_path: Path) -> None:
    path = onnx_model(tmp_path / "own.onnx", domain="com.somebody")
    with pytest.raises(ModelError, match=r'operators that ONNX Runtime does not have, "com\.somebody\.Blur"; export'):
        read(path)


def test_weights_in_another_file_are_refused(tmp_path: Path) -> None:
    path = in_two_files(onnx_model(tmp_path / "own.onnx"))
    with pytest.raises(ModelError, match="keeps its weights in another file; save it as one file"):
        read(path)


def test_several_outputs_are_chosen_from(tmp_path: Path) -> None:
    path = onnx_model(tmp_path / "own.onnx")
    model = onnx.load(path)
    for name, number in (("mean", 1), ("probabilities", 3)):
        model.graph.output.append(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["N", number]))
    onnx.save_model(model, path)
    assert read(path).output().name == "probabilities"
    assert read(path).output("logits").name == "logits"
    with pytest.raises(ModelError, match=r'has no output "logit"; set output = "…" to one of "logits", "mean" or'):
        read(path).output("logit")
    del model.graph.output[2]
    onnx.save_model(model, path)
    with pytest.raises(ModelError, match="has several outputs; set output"):
        read(path).output()


def test_several_inputs_are_refused(tmp_path: Path) -> None:
    path = onnx_model(tmp_path / "own.onnx")
    model = onnx.load(path)
    model.graph.input.append(onnx.helper.make_tensor_value_info("mask", onnx.TensorProto.FLOAT, ["N", 1]))
    onnx.save_model(model, path)
    with pytest.raises(ModelError, match=r'has 2 inputs \("input" and "mask"\)'):
        read(path).input()
