"""Networks that several recipes use.

The convolutional encoder follows, in small, the MEG module of Benchetrit, Banville and King, "Brain decoding: toward real-time
reconstruction of visual perception" (2023): attention over sensor positions, convolutions of growing dilation, aggregation over
time, one head for the contrastive and one for the squared loss.
"""

import math

import torch
from torch import nn
from torch.nn import functional as F

# A sensor whose place is not known gets this score, so that its weight is 0.
FAR = -1e4
# In training all sensors nearer than this to a random place are left out.
DROP_RADIUS = 0.2
# Fourier terms reach over the edge by this share of the unit square.
MARGIN = 0.2


class ChannelMerger(nn.Module):
    """Virtual channels as weighted means of real ones; the weights follow from places in the unit square, so that montages may differ."""

    def __init__(self, virtual, terms, sharpness=4.0):
        super().__init__()
        self.heads = nn.Parameter(torch.randn(virtual, 2 * terms * terms) * sharpness / math.sqrt(2 * terms * terms))
        k = torch.arange(terms, dtype=torch.float32) * 2 * math.pi / (1 + 2 * MARGIN)
        self.register_buffer("waves", torch.stack([k.repeat_interleave(terms), k.repeat(terms)]))

    def forward(self, x, positions):
        phase = (positions + MARGIN) @ self.waves
        scores = self.heads @ torch.cat([phase.cos(), phase.sin()], 1).T
        unknown = (positions[:, :1] < -0.5).float().T
        if self.training:
            spot = torch.rand(1, 2, device=positions.device)
            unknown = torch.maximum(unknown, ((positions - spot).norm(dim=1) < DROP_RADIUS).float()[None])
        weights = torch.softmax(scores + FAR * unknown, 1)
        return weights @ x


class Block(nn.Module):
    """Two dilated convolutions with a bridge over each, and a gated one."""

    def __init__(self, width, dilations):
        super().__init__()
        self.dilated = nn.ModuleList(
            nn.Sequential(nn.Conv1d(width, width, 3, padding=d, dilation=d), nn.BatchNorm1d(width), nn.GELU()) for d in dilations
        )
        self.gate = nn.Conv1d(width, 2 * width, 3, padding=1)

    def forward(self, x):
        for layer in self.dilated:
            x = x + layer(x)
        return F.glu(self.gate(x), 1)


class ConvEncoder(nn.Module):
    """From windows and places to the place in a space, of length 1, and an estimate of that place itself."""

    def __init__(self, samples, out, virtual=64, terms=12, width=64, wide=128, dilations=((1, 2), (4, 8)), dropout=0.3):
        super().__init__()
        self.merger = ChannelMerger(virtual, terms)
        self.mix = nn.Conv1d(virtual, width, 1)
        self.blocks = nn.Sequential(*(Block(width, d) for d in dilations))
        self.widen = nn.Sequential(nn.Conv1d(width, wide, 1), nn.GELU())
        self.when = nn.Parameter(torch.randn(wide, samples) / math.sqrt(samples))
        self.dropout = nn.Dropout(dropout)
        self.heads = nn.ModuleList(nn.Sequential(nn.LayerNorm(wide), nn.GELU(), nn.Linear(wide, out)) for _ in range(2))

    def forward(self, x, positions):
        x = self.widen(self.blocks(self.mix(self.merger(x, positions))))
        x = self.dropout((x * self.when).sum(2))
        return unit(self.heads[0](x)), self.heads[1](x)


def unit(x):
    """Rows of length 1."""
    return x / x.norm(dim=1, keepdim=True).clamp_min(1e-6)


def clip_loss(guess, target, scale):
    """Symmetric cross entropy of which target belongs to which guess, for rows of length 1."""
    scores = scale * guess @ target.T
    truth = torch.arange(len(guess))
    return 0.5 * (F.cross_entropy(scores, truth) + F.cross_entropy(scores.T, truth))


class Attention(nn.Module):
    """Multi-head attention over tokens."""

    def __init__(self, width, heads, size, dropout):
        super().__init__()
        self.heads, self.size = heads, size
        self.into, self.out = nn.Linear(width, 3 * heads * size), nn.Linear(heads * size, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x):
        batch, tokens, _ = x.shape
        parts = self.into(x).view(batch, tokens, 3, self.heads, self.size).permute(2, 0, 3, 1, 4)
        q, k, v = parts[0], parts[1], parts[2]
        weights = self.dropout(torch.softmax(q @ k.transpose(2, 3) / math.sqrt(self.size), 3))
        return self.out((weights @ v).transpose(1, 2).reshape(batch, tokens, self.heads * self.size))


class Transformer(nn.Module):
    """One block: attention and two linear layers, normalised before (`pre`) or after each."""

    def __init__(self, width, heads, size, hidden, dropout, pre):
        super().__init__()
        self.attention = Attention(width, heads, size, dropout)
        self.feed = nn.Sequential(nn.Linear(width, hidden), nn.GELU(), nn.Dropout(dropout), nn.Linear(hidden, width))
        self.norms = nn.ModuleList([nn.LayerNorm(width), nn.LayerNorm(width)])
        self.dropout, self.pre = nn.Dropout(dropout), pre

    def forward(self, x):
        for norm, layer in zip(self.norms, (self.attention, self.feed)):
            x = x + self.dropout(layer(norm(x))) if self.pre else norm(x + self.dropout(layer(x)))
        return x
