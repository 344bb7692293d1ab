"""A generator against a discriminator, with transposed convolutions and batch norm, as in pytorch/examples/dcgan."""

import torch
import torch.nn as nn
import torch.optim as optim
from common import batches, digits, fill, noise, report

nz, ngf, ndf = 8, 8, 8

netG = nn.Sequential(
    nn.ConvTranspose2d(nz, ngf * 2, 2, 1, 0, bias=False),
    nn.BatchNorm2d(ngf * 2),
    nn.ReLU(True),
    nn.ConvTranspose2d(ngf * 2, ngf, 4, 2, 1, bias=False),
    nn.BatchNorm2d(ngf),
    nn.ReLU(True),
    nn.ConvTranspose2d(ngf, 1, 4, 2, 1, bias=False),
    nn.Tanh(),
)
netD = nn.Sequential(
    nn.Conv2d(1, ndf, 4, 2, 1, bias=False),
    nn.LeakyReLU(0.2, inplace=True),
    nn.Conv2d(ndf, ndf * 2, 4, 2, 1, bias=False),
    nn.BatchNorm2d(ndf * 2),
    nn.LeakyReLU(0.2, inplace=True),
    nn.Conv2d(ndf * 2, 1, 2, 1, 0, bias=False),
    nn.Sigmoid(),
    nn.Flatten(0),
)
fill(netG, 1)
fill(netD, 2)
criterion = nn.BCELoss()
optimizerD = optim.Adam(netD.parameters(), lr=0.0002, betas=(0.5, 0.999))
optimizerG = optim.Adam(netG.parameters(), lr=0.0002, betas=(0.5, 0.999))
images, _ = digits()
for step, index in enumerate(batches(len(images), 32)):
    real = images[index] * 2 - 1
    netD.zero_grad()
    label = torch.full((32,), 1.0)
    errD_real = criterion(netD(real), label)
    errD_real.backward()
    fake = netG(noise(32, nz, 1, 1, seed=step))
    label.fill_(0.0)
    errD_fake = criterion(netD(fake.detach()), label)
    errD_fake.backward()
    optimizerD.step()
    netG.zero_grad()
    label.fill_(1.0)
    errG = criterion(netD(fake), label)
    errG.backward()
    optimizerG.step()
    report(step, errD_real + errD_fake)
    report(step, errG)
