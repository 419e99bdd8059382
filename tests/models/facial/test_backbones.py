from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from safetensors.torch import save_file

from emopipe.models.facial.backbones import Backbone, MobileNet, ResNet50
from emopipe.models.facial.base import prepare
from emopipe.models.facial.compiled import CompiledNetwork
from emopipe.models.facial.model import FacialModel
from emopipe.models.facial.networks import NETWORKS
from emopipe.models.facial.rows import trace
from emopipe.models.labels import FACE
from emopipe.pipeline.errors import ModelError
from tests.support.face_networks import faces, random_norms

BACKBONES = ("vgg16", "resnet50", "mobilenet")


@pytest.fixture(scope="module")
def imagenet() -> dict[str, torch.Tensor]:
    """A state dict as torchvision ships it (random, since nothing is downloaded)."""
    torch.manual_seed(0)
    state: dict[str, torch.Tensor] = torchvision.models.mobilenet_v3_large(weights=None).state_dict()
    return state


@pytest.mark.slow("every network")
@pytest.mark.parametrize("name", BACKBONES)
def test_a_face_has_the_same_bits_alone_and_in_a_batch(name: str) -> None:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        torch.manual_seed(0)
        model = FacialModel(CompiledNetwork(trace(random_norms(NETWORKS[name]()))), FACE, 1.0)
        crops = faces(5)
        alone = np.concatenate([model.logits(crop[None]) for crop in crops])
        np.testing.assert_array_equal(model.logits(crops), alone, strict=True)
        np.testing.assert_array_equal(model.logits(crops[1:4]), alone[1:4], strict=True)
    finally:
        torch.set_num_threads(threads)


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_imagenet_weights_see_grey_as_they_saw_colour(
    imagenet: dict[str, torch.Tensor], tmp_path: Path, suffix: str
) -> None:
    path = tmp_path / f"mobilenet{suffix}"
    torch.save(imagenet, path) if suffix == ".pth" else save_file(imagenet, path)
    network = MobileNet()
    head = network.head.weight.clone()
    network.load_imagenet(path)
    assert torch.equal(network.head.weight, head), "the head is ours"

    original = torchvision.models.mobilenet_v3_large(weights=None)
    original.load_state_dict(imagenet)
    original.features[0][0].stride = (1, 1)
    original.classifier = torch.nn.Identity()
    x = prepare(faces(2))
    with torch.inference_mode():
        expected = original.eval()(x.expand(-1, 3, -1, -1))
        torch.testing.assert_close(network.eval().embed(x), expected, rtol=1e-3, atol=1e-4)


def test_the_names_of_the_other_two_are_torchvisions_as_well() -> None:
    for name in ("vgg16", "resnet50"):
        network = NETWORKS[name]()
        assert isinstance(network, Backbone)
        with torch.device("meta"):
            theirs = torchvision.models.get_model(network.source, weights=None).state_dict()
        kept = {name: tensor.shape for name, tensor in theirs.items() if not name.startswith(network.left_out)}
        ours = {name: tensor.shape for name, tensor in network.body.state_dict().items()}
        first = next(iter(ours))
        assert (ours.pop(first)[1], kept.pop(first)[1]) == (1, 3)
        assert ours == kept


def test_weights_that_do_not_fit_are_named(imagenet: dict[str, torch.Tensor], tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"nowhere\.pth: no such file; save torchvision's ImageNet weights there"):
        MobileNet().load_imagenet(tmp_path / "nowhere.pth")
    torch.save(imagenet, path := tmp_path / "mobilenet.pth")
    with pytest.raises(ModelError, match=r"mobilenet\.pth: not the weights of torchvision's resnet50: .* of 318"):
        ResNet50().load_imagenet(path)
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(ModelError, match=r"mobilenet\.pth: unreadable weights"):
        MobileNet().load_imagenet(path)
    torch.save([1, 2], path)
    with pytest.raises(ModelError, match=r"not a state dict, but list; save `model\.state_dict\(\)`"):
        MobileNet().load_imagenet(path)
