"""ResNet-20 for CIFAR-10 in plain torch, with the names of layers that akamaster's widely used weights have."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["ResNet20"]


class _Block(nn.Module):
    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.before, self.after = before, after
        self.conv1 = nn.Conv2d(before, after, 3, 1 if before == after else 2, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(after)
        self.conv2 = nn.Conv2d(after, after, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(after)

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        if self.before != self.after:
            x = F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, self.after // 4, self.after // 4))
        return F.relu(y + x)


class ResNet20(nn.Module):
    def __init__(self, classes: int = 10) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.layer1 = nn.Sequential(*(_Block(16, 16) for _ in range(3)))
        self.layer2 = nn.Sequential(_Block(16, 32), _Block(32, 32), _Block(32, 32))
        self.layer3 = nn.Sequential(_Block(32, 64), _Block(64, 64), _Block(64, 64))
        self.linear = nn.Linear(64, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.layer3(self.layer2(self.layer1(F.relu(self.bn1(self.conv1(x))))))
        return self.linear(x.mean((2, 3)))

    def fit(self, images: Tensor, targets: Tensor, *, steps: int, batch: int = 64) -> None:
        """Take steps of SGD on normalised images `(n, 3, 32, 32)`, on average halves of them flipped."""
        torch.manual_seed(0)
        optimizer = torch.optim.SGD(self.parameters(), 0.1, momentum=0.9, weight_decay=5e-4, nesterov=True)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.1, total_steps=steps)
        self.train()
        for _ in range(steps):
            chosen = torch.randint(len(images), (batch,))
            x = images[chosen]
            x = torch.where(torch.rand(batch, 1, 1, 1) < 0.5, x, x.flip(3))
            loss = F.cross_entropy(self(x), targets[chosen])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
        self.eval()
