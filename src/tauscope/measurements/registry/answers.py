"""Measurements of what the network answers: intact, changed, trained further, or asked something else."""

from __future__ import annotations

from tauscope.measurements.measurement import Figure, Function, Listed, made, numbers_of

_PROTOCOL = "analysis.interventions:Protocol"


def _perturbation(which: str, title: str, changed: str, lacks: str) -> Listed:
    return Listed(
        measure=made("measure_perturbation", which=which),
        hands_on=(_PROTOCOL,),
        figures={
            "": Figure("interventions:plot_perturbation", "Relative accuracy against the size of the perturbation.")
        },
        numbers=numbers_of("perturbation_numbers"),
        lacks=made(lacks),
        cost=0.4,
        title=title,
        about=f"The accuracy that is left after a random change of {changed}, relative to the intact network: 1 is as good as "
        "intact, 0 is chance. ε is the size of the change as a share of the norm of what is changed.",
        main=("relative accuracy at epsilon 0.1", "relative accuracy at epsilon 1"),
        asked_as="perturbation",
    )


ANSWERS: dict[str, Listed] = {
    "ablation": Listed(
        measure=made("measure_ablation"),
        hands_on=(_PROTOCOL,),
        figures={
            "": Figure("interventions:plot_ablation", "Relative accuracy without each of the ablated units, by group.")
        },
        numbers=numbers_of("ablation_numbers"),
        lacks=made("lacks_Ns"),
        cost=0.5,
        title="Ablation",
        about="The accuracy that is left when a unit is silenced, relative to the intact network: 1 is as good as intact, 0 "
        "is chance. The slowest and the fastest units are told by τ; random ones are the control.",
        main=("relative accuracy without *",),
    ),
    "perturbation_recurrent": _perturbation(
        "recurrent", "Perturbation of the recurrent weights", "the recurrent weights", "lacks_Ns"
    ),
    "perturbation_tau": _perturbation("tau", "Perturbation of τ", "the timescales τ", "lacks_tau"),
    "perturbation_error": Listed(
        measure=made("measure_perturbation_error"),
        hands_on=("analysis.perturbation_error:perturbation_error",),
        figures={
            "": Figure(
                "stability:plot_perturbation_error",
                "Largest error against the largest change of a parameter, by block of parameters.",
            )
        },
        numbers=numbers_of("perturbation_error_numbers"),
        lacks=made("lacks_question"),
        cost=5.5,
        title="Error after perturbations",
        about="The largest error after random changes of all parameters, or of one block alone, none of which is larger "
        "than β; the error is the task's score where less is better, and otherwise how far it is below the best. A change "
        "is borne if the error rises by no more than 0.1.",
        main=("largest perturbation that is borne *",),
    ),
    "memory_function": Listed(
        measure=made("measure_memory_function"),
        hands_on=("analysis.memory_function:memory_function",),
        figures={
            "": Figure(
                "stability:plot_memory_function",
                "Change of the answer against the lag, and what was asked where it is known.",
            )
        },
        numbers=numbers_of("memory_numbers"),
        lacks=made("lacks_question"),
        cost=0.1,
        title="Memory function",
        about="How much the answer still changes some steps after the input stepped up, beside the answer to no input: of a "
        "linear network, the size of the weight of an input so long ago.",
        main=("half of all memory *",),
    ),
    "credit": Listed(
        measure=made("measure_credit"),
        hands_on=("analysis.credit:credit",),
        figures={
            "": Figure(
                "credit:plot_credit",
                "Cosine of the truncated gradient with the full one, and its norm, against the steps of credit; of element-wise "
                "networks also the cosine of real-time recurrent learning (RTRL).",
            )
        },
        numbers=numbers_of("credit_numbers"),
        lacks=made("lacks_question"),
        cost=0.1,
        title="Credit in time",
        about="How far back in time the gradient of the loss reaches: the gradient in which every answer is followed back for k "
        "steps, beside that of full backpropagation on the same trials. A cosine near 1 says that training with k steps of "
        "credit would move the weights the same way; one step is the immediate derivative.",
        main=("cosine with the full gradient at k = 1", "credit for a cosine of *"),
    ),
    "pruning": Listed(
        measure=Function("measurements.pruning:measure_pruning"),
        hands_on=("analysis.pruned:pruning_curves",),
        figures={
            "": Figure(
                "pruning:plot_pruning", "Score against the share of the synapses that is kept, a line for each rule."
            )
        },
        numbers=numbers_of("pruning_numbers"),
        lacks=Function("measurements.pruning:lacks_synapses"),
        cost=12.0,
        title="Pruning",
        about="What the network still answers when a share of its recurrent synapses is removed, without any training after it: at "
        "random, by magnitude, by activity, by noise-prune on the weights, or by Lyapunov noise pruning, at equal numbers of synapses. "
        "Without any, it is the control: what the read-outs can do with no recurrence.",
        main=("* kept (*",),
        in_all=False,
    ),
    "closed_loop": Listed(
        measure=Function("measurements.closed_loop:measure_closed_loop"),
        hands_on=("analysis.closed_loop:closed_loop",),
        figures={
            "": Figure(
                "closed_loop:plot_closed_loop",
                "Return under every shift: bars are means of the network's episodes (dots), lines those of its expert's.",
            )
        },
        numbers=Function("measurements.closed_loop:closed_loop_numbers"),
        lacks=Function("measurements.closed_loop:lacks_loop"),
        cost=5.0,
        title="Closed loop",
        about="How a clone acts in the environment of its expert, where its own errors change what it sees: the return of an episode, "
        "as it is and when sensors or body are others than in the demonstrations, beside the return of the expert under the same "
        "shift from the same start.",
        main=("return, *, in parts of the expert's",),
        in_all=False,
    ),
    "retraining": Listed(
        measure=made("measure_retraining"),
        hands_on=("learning.recipe:Recipe",),
        figures={"": Figure("memory:plot_retraining", "Relative accuracy after retraining on each N.")},
        numbers=numbers_of("retraining_numbers"),
        lacks=made("lacks_Ns"),
        cost=800.0,
        title="Retraining",
        about="How well the network learns each larger N when it is trained on that N alone, with a single head. 1 is the "
        "accuracy at the N it started from, 0 an accuracy of 1/2.",
        main=("relative accuracy after retraining at *",),
        in_all=False,
    ),
    "forgetting": Listed(
        measure=made("measure_forgetting"),
        hands_on=("measurements.retraining:forgetting",),
        figures={
            "": Figure(
                "memory:plot_forgetting",
                "Accuracy on every N, by the head that answers it.",
                lambda result, subject: (result["accuracy"], subject.trained),
            )
        },
        numbers=numbers_of("forgetting_numbers"),
        lacks=made("lacks_Ns"),
        cost=0.1,
        title="Forgetting",
        about="The accuracy on every N, smaller and larger than the trained ones, without any further training.",
        main=("mean accuracy on *",),
    ),
    "generalisation": Listed(
        measure=made("measure_generalisation"),
        hands_on=("analysis.generalisation:generalise",),
        figures={
            "": Figure(
                "memory:plot_generalisation",
                "Accuracy of a fresh read-out for each N.",
                lambda result, subject: (result, subject.trained),
            )
        },
        numbers=numbers_of("generalisation_numbers"),
        lacks=made("lacks_Ns"),
        cost=0.2,
        title="Memory held by the dynamics",
        about="The accuracy of a fresh linear read-out, fitted for each N while the network stays as it is: how much memory "
        "its dynamics hold beyond what it was trained for.",
        main=("accuracy of a fresh read-out at *",),
    ),
    "resolution": Listed(
        measure=made("measure_resolution"),
        hands_on=("analysis.resolution:resolution",),
        figures={
            "": Figure(
                "resolution:plot_resolution",
                "Accuracy against the time step; the resolution of the measurements above is shaded.",
                lambda result, subject: (result, (subject.drive()["repeat"],)),
            )
        },
        numbers=numbers_of("resolution_numbers"),
        lacks=made("lacks_time_steps"),
        cost=26.0,
        title="Time resolution",
        about="The accuracy of a continuous-time network, by its own heads, when a bit lasts k steps, that is, at time steps "
        "of 1/k of a bit: the same sequences at every k.",
        main=("mean accuracy at *",),
    ),
}
