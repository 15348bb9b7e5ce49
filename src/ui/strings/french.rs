//! The screens' texts in French.

use super::{Strings, words};

/// The table in French.
pub static STRINGS: Strings = Strings {
    disclaimer: "RECHERCHE UNIQUEMENT - PAS POUR LE DIAGNOSTIC",
    booting: words("DÉMARRAGE", "Chargement du modèle."),
    ready: words("PRÊT", "Posez un cliché sur le négatoscope et appuyez sur le bouton."),
    capturing: words("PHOTO", "Ne bougez ni le cliché ni la caméra."),
    analysing: words("ANALYSE", "Veuillez patienter. Le cliché peut être retiré."),
    shutting_down: words("ARRÊT", "Ne débranchez pas encore l'appareil."),
    off: words("ÉTEINT", "L'appareil peut être débranché."),
    help_ready: "Appuyer : photo. Maintenir 5 s : éteindre.",
    help_verdict: "Appuyer : cliché suivant. Maintenir 1 s : carte.",
    help_again: "Appuyer : continuer.",
    case: "Cas",
    model: "Modèle",
    classes: ["COVID-19", "Pneumonie", "Normal"],
    threshold: "repère : seuil",
    speaks_for: "Carte, en faveur de :",
    nothing_speaks_for: "Aucune zone du cliché en faveur de :",
    least: "rien",
    half: "moitié (ligne)",
    most: "maximum",
    heat_map_off: "Carte désactivée",
    covid19: words("COVID-19", "signes de pneumonie à COVID-19"),
    pneumonia: words("PNEUMONIE", "signes de pneumonie, non COVID-19"),
    normal: words("NORMAL", "pas de signe de pneumonie"),
    refer: words("À RELIRE", "incertain : un lecteur doit voir le cliché"),
    refused: words("REFUSÉ", "pas de résultat"),
    no_film: "Aucun cliché trouvé. Le négatoscope est-il allumé ? Posez le cliché entier dessus.",
    two_films: "Plusieurs clichés. Retirez les autres du négatoscope.",
    too_small: "Le cliché est trop petit sur l'image. Rapprochez la caméra.",
    too_dark: "Le cliché est trop sombre. Allumez le négatoscope ou augmentez sa lumière.",
    overexposed: "L'image est trop claire. Évitez les reflets ou baissez le négatoscope.",
    no_contrast: "Presque pas de contraste. Posez un cliché sur le négatoscope, à l'abri de la lumière de la pièce.",
    blurred: "L'image est floue. Faites la mise au point sur le cliché et ne bougez pas la caméra.",
    out_of_distribution: "Ceci ne ressemble pas à un cliché thoracique de face. Posez-le droit et entier. Si c'en est un, un \
                 lecteur formé doit le voir.",
    low_confidence: "Aucune classe n'est assez probable. Un lecteur formé doit voir ce cliché.",
    hint_no_film: "Aucun cliché trouvé. Posez-le droit sur le négatoscope allumé.",
    hint_too_dark: "Trop sombre : allumez le négatoscope.",
    hint_too_bright: "Trop clair : évitez les reflets ou baissez le négatoscope.",
    hint_blurred: "Flou : faites la mise au point sur le cliché.",
    fault_camera: words("PANNE CAMÉRA", "La caméra ne donne pas d'image. Vérifiez son câble et rebranchez-la."),
    fault_storage: words(
        "PANNE MÉMOIRE",
        "Les cas ne peuvent pas être enregistrés. Aucun cliché n'est analysé. Libérez de la place ou changez la carte.",
    ),
    fault_model: words(
        "PANNE MODÈLE",
        "Le cliché ne peut pas être analysé. Reprenez-le après le redémarrage. Si cela persiste, réinstallez le programme.",
    ),
    fault_gpio: words(
        "PANNE BOUTON",
        "Le bouton ou les voyants ne répondent pas. Vérifiez les fils et redémarrez l'appareil.",
    ),
    fault_settings: words(
        "PANNE RÉGLAGES",
        "Le fichier des réglages est inutilisable. Aucun cliché n'est analysé. Corrigez-le et redémarrez l'appareil.",
    ),
};
