"""The study of CUDA graphs' parity, on a CPU: what is alike and what is not, and where there is no GPU."""

import pytest
import torch

from benchmarks.studies import cuda_parity
from emopipe.models.facial.rows import DeviceNetwork


def test_ways_that_agree_are_within_and_others_are_not(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(cuda_parity, "BATCH_SIZES", (1, 5))
    arguments = ["--device", "cpu", "--only", "custom"]
    assert cuda_parity.main(arguments) == 0
    assert "| custom " in capsys.readouterr().out
    judge = DeviceNetwork.__call__
    monkeypatch.setattr(DeviceNetwork, "__call__", lambda self, crops: judge(self, crops) + 0.1)
    assert cuda_parity.main(arguments) == cuda_parity.WRONG


def test_without_a_gpu_that_is_said(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def refuse(*_: object, **__: object) -> torch.Tensor:
        raise RuntimeError("there is no driver")

    monkeypatch.setattr(torch, "empty", refuse)
    assert cuda_parity.main([]) == 2
    assert capsys.readouterr().err.startswith("cuda_parity: device 'cuda' cannot be used: there is no driver")
