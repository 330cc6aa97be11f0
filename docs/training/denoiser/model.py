"""The network: a bank of filters, attention over 64 tokens that weighs its bands in time, and a drawn artefact.

    y(t) = sum over bands k of gain_k(t) * band_k(t)  -  artefact(t)

Each gain has a part that hangs on the spectrum of the whole window, as a Wiener filter does, and one that changes in time.
At the start the bands add up to the input and the gains are near one, so that training departs from "change nothing".
"""

import numpy as np
import torch
from scipy.signal import firwin
from torch import nn

SAMPLES = 512
TOKENS = 64
COARSE = 128              # points at which gains and artefact are drawn
RATE_HZ = 256
EDGES_HZ = (1.5, 2.5, 3.5, 4.5, 6, 7.5, 9, 11, 12.5, 14, 15.5, 17, 19, 21.5, 24.5, 28, 32, 38, 46, 58)
TAPS = 383
BANDS = len(EDGES_HZ) + 1


def band_taps():
    """Neighbouring bands whose sum is the identity, [bands, 1, taps]."""
    unit = np.zeros(TAPS)
    unit[TAPS // 2] = 1.0
    below = [np.zeros(TAPS)] + [firwin(TAPS, edge, fs=RATE_HZ) for edge in EDGES_HZ] + [unit]
    return torch.tensor(np.diff(below, axis=0)[:, None], dtype=torch.float32)


def interpolation():
    """From 128 points to 512 samples, along straight lines, [128, 512]."""
    points, at = np.arange(COARSE), (np.arange(SAMPLES) + 0.5) * COARSE / SAMPLES - 0.5
    return torch.tensor(np.maximum(0.0, 1.0 - np.abs(np.clip(at, 0, COARSE - 1) - points[:, None])), dtype=torch.float32)


def gelu():
    return nn.GELU(approximate="tanh")


class Attention(nn.Module):
    """Self-attention in plain matrix products, so that the exported graph has nothing but them."""

    def __init__(self, width, heads):
        super().__init__()
        self.heads, self.size = heads, width // heads
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)

    def forward(self, x):
        q, k, v = self.qkv(x).view(-1, TOKENS, 3, self.heads, self.size).permute(2, 0, 3, 1, 4).unbind(0)
        weights = torch.softmax(q @ k.transpose(-2, -1) * self.size ** -0.5, dim=-1)
        return self.out((weights @ v).transpose(1, 2).reshape(-1, TOKENS, self.heads * self.size))


class Layer(nn.Module):
    """Pre-norm transformer layer."""

    def __init__(self, width, heads, hidden):
        super().__init__()
        self.norm_attention, self.attention = nn.LayerNorm(width), Attention(width, heads)
        self.norm_hidden = nn.LayerNorm(width)
        self.hidden = nn.Sequential(nn.Linear(width, hidden), gelu(), nn.Linear(hidden, width))

    def forward(self, x):
        x = x + self.attention(self.norm_attention(x))
        return x + self.hidden(self.norm_hidden(x))


class Denoiser(nn.Module):
    """[channels, 512] mixtures of unit standard deviation to [channels, 512] estimates of the clean signal."""

    def __init__(self, middle=48, width=64, heads=4, layers=3, hidden=128):
        super().__init__()
        self.bank = nn.Conv1d(1, BANDS, TAPS, padding=TAPS // 2, bias=False)
        self.bank.weight = nn.Parameter(band_taps(), requires_grad=False)
        self.down = nn.Sequential(nn.Conv1d(BANDS, middle, 8, stride=4, padding=2), gelu())
        self.down_token = nn.Conv1d(middle, width, 4, stride=2, padding=1)
        self.energy = nn.Linear(BANDS, width)
        self.position = nn.Parameter(0.02 * torch.randn(1, TOKENS, width))
        self.layers = nn.Sequential(*[Layer(width, heads, hidden) for _ in range(layers)], nn.LayerNorm(width))
        self.up = nn.ConvTranspose1d(width, middle, 4, stride=2, padding=1)
        self.mix = nn.Sequential(nn.Conv1d(2 * middle, middle, 5, padding=2), gelu(),
                                 nn.Conv1d(middle, BANDS + 1, 5, padding=2))
        self.mix[-1].weight.data *= 0.1
        self.spectrum = nn.Sequential(nn.Linear(BANDS, width), gelu(), nn.Linear(width, width), gelu(), nn.Linear(width, BANDS))
        self.spectrum[-1].weight.data *= 0.1
        self.mix[-1].bias.data = torch.tensor([2.0] * BANDS + [0.0])
        self.register_buffer("raise_rate", interpolation(), persistent=False)

    def forward(self, x):
        bands = self.bank(x.unsqueeze(1))
        middle = self.down(bands)
        power = nn.functional.avg_pool1d(bands * bands, 8)
        overall = self.spectrum(torch.log(power.mean(-1) + 1e-4))
        power = torch.log(power + 1e-4)
        tokens = self.down_token(middle).transpose(1, 2) + self.energy(power.transpose(1, 2)) + self.position
        tokens = self.layers(tokens).transpose(1, 2)
        drawn = self.mix(torch.cat([self.up(tokens), middle], 1))
        gains = torch.sigmoid(drawn[:, :BANDS] + overall.unsqueeze(-1))
        drawn = torch.cat([gains, drawn[:, BANDS:]], 1) @ self.raise_rate
        return (drawn[:, :BANDS] * bands).sum(1) - drawn[:, BANDS]
