"""
A task of your own
==================

Which symbol was shown N - 1 steps before the end? There are three symbols, each with an input channel and an answer.
"""

from dataclasses import dataclass

import torch

import tauscope as ts
from tauscope.plotting.training import plot_training
from tauscope.tasks import ClassificationTask


@dataclass(frozen=True)
class Recall(ClassificationTask):
    """N-recall: name the N-th symbol from the end of a stream of equally likely symbols, shown one-hot.

    Attributes
    ----------
    Ns : tuple of int
        Places of the symbols to name, counted from the end.
    """

    Ns: tuple[int, ...] = (2,)

    source = "an example of the tauscope documentation"
    n_inputs = 3

    @property
    def heads(self) -> dict[str, ts.Head]:
        """A head for each N, with three answers; a constant answer is right in a third of the streams."""
        return {f"N{N}": ts.Head(n_outputs=3, chance=1 / 3, optimum=1.0) for N in self.Ns}

    def sample(self, batch_size: int, generator: torch.Generator, split: str = "train") -> ts.Batch:
        """Draw streams of 2 N_max symbols and their answers at the last step."""
        del split  # every stream is drawn anew
        shape = (2 * self.Ns[-1], batch_size)
        symbols = torch.randint(self.n_inputs, shape, generator=generator, device=generator.device)
        inputs = torch.nn.functional.one_hot(symbols, self.n_inputs).float()
        answers = torch.stack([symbols[-N] for N in self.Ns], dim=-1)
        return ts.Batch(inputs, targets=answers.unsqueeze(0))


# %%
# Train on it
# -----------

if __name__ == "__main__":
    task = Recall()
    model = ts.LeakyRNN(50, n_inputs=task.n_inputs, n_outputs=3, generator=torch.Generator().manual_seed(0))
    recipe = ts.Recipe(epochs=10, steps_per_epoch=100, batch_size=64, lr=0.1)
    training = ts.train(model, task, ts.cumulative(last=5), recipe)
    for record in training.history:
        print(record["epoch"], record["Ns"], [round(accuracy, 3) for accuracy in record["accuracy"]])
    learning = plot_training(training.history)
