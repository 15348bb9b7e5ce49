//! Every text of the screens, in the languages of the box. Text on the command line is English and stands where it is
//! printed.
//!
//! `scripts/fonts` reads this file: the fonts in `assets/fonts` have Latin-1 and the characters that stand here.

use std::fmt;

use serde::{Deserialize, Serialize};
use xray_triage_core::decision::{Class, Outcome};
use xray_triage_core::reason::Reason;

use crate::ui::status::{Fault, Hint};

/// A language of the screens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Language {
    #[default]
    #[serde(rename = "en")]
    English,
    #[serde(rename = "fr")]
    French,
    #[serde(rename = "es")]
    Spanish,
    #[serde(rename = "pt")]
    Portuguese,
    /// In simplified characters.
    #[serde(rename = "zh")]
    Chinese,
}

impl Language {
    /// All of them.
    pub const ALL: [Language; 5] =
        [Language::English, Language::French, Language::Spanish, Language::Portuguese, Language::Chinese];

    /// The ISO 639-1 code, as in the settings.
    pub fn code(self) -> &'static str {
        match self {
            Language::English => "en",
            Language::French => "fr",
            Language::Spanish => "es",
            Language::Portuguese => "pt",
            Language::Chinese => "zh",
        }
    }

    /// The texts in this language.
    pub fn strings(self) -> &'static Strings {
        match self {
            Language::English => &ENGLISH,
            Language::French => &FRENCH,
            Language::Spanish => &SPANISH,
            Language::Portuguese => &PORTUGUESE,
            Language::Chinese => &CHINESE,
        }
    }
}

impl fmt::Display for Language {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// A heading in very large type, and the words below it.
#[derive(Clone, Copy, Debug)]
pub struct Words {
    pub heading: &'static str,
    pub text: &'static str,
}

/// The table of one language.
pub struct Strings {
    /// In the band that every screen has.
    pub disclaimer: &'static str,

    pub booting: Words,
    pub ready: Words,
    pub capturing: Words,
    pub analysing: Words,
    pub shutting_down: Words,
    pub off: Words,

    /// What the button does while the box is ready.
    pub help_ready: &'static str,
    /// What the button does while a verdict is shown.
    pub help_verdict: &'static str,
    /// What the button does after a refusal or a fault.
    pub help_again: &'static str,

    /// Before a case's number.
    pub case: &'static str,
    /// Before a model's id.
    pub model: &'static str,

    /// Names of the classes beside their bars, in the order of [`Class::ALL`].
    classes: [&'static str; 3],
    /// What the mark on the COVID-19 bar is.
    pub threshold: &'static str,
    /// Above the heat map's legend, before a class.
    pub speaks_for: &'static str,
    /// Instead of the legend, before a class.
    pub nothing_speaks_for: &'static str,
    /// Ends and middle of the legend.
    pub least: &'static str,
    pub half: &'static str,
    pub most: &'static str,
    /// Instead of the legend, while the map is switched off.
    pub heat_map_off: &'static str,

    covid19: Words,
    pneumonia: Words,
    normal: Words,
    refer: Words,
    refused: Words,

    too_small: &'static str,
    too_dark: &'static str,
    overexposed: &'static str,
    no_contrast: &'static str,
    blurred: &'static str,
    unfamiliar: &'static str,
    low_confidence: &'static str,

    hint_no_film: &'static str,
    hint_too_dark: &'static str,
    hint_too_bright: &'static str,
    hint_blurred: &'static str,

    fault_camera: Words,
    fault_storage: Words,
    fault_model: Words,
    fault_panel: Words,
    fault_settings: Words,
}

impl Strings {
    /// The verdict and what it means.
    pub fn outcome(&self, outcome: Outcome) -> Words {
        match outcome {
            Outcome::Covid19 => self.covid19,
            Outcome::Pneumonia => self.pneumonia,
            Outcome::Normal => self.normal,
            Outcome::Refer => self.refer,
            Outcome::Refused => self.refused,
        }
    }

    /// A class's name.
    pub fn class(&self, class: Class) -> &'static str {
        self.classes[class as usize]
    }

    /// What happened and what to do, for the [code](Reason::code) of a reason. `None` for other codes: their records
    /// have an error text.
    pub fn reason(&self, code: &str) -> Option<&'static str> {
        let reason = Reason::ALL.into_iter().find(|reason| reason.code() == code)?;
        Some(match reason {
            Reason::TooSmall => self.too_small,
            Reason::TooDark => self.too_dark,
            Reason::Overexposed => self.overexposed,
            Reason::NoContrast => self.no_contrast,
            Reason::Blurred => self.blurred,
            Reason::OutOfDistribution => self.unfamiliar,
            Reason::LowConfidence => self.low_confidence,
        })
    }

    /// What to do before the button is pressed.
    pub fn hint(&self, hint: Hint) -> &'static str {
        match hint {
            Hint::Loading => self.booting.text,
            Hint::NoFilm => self.hint_no_film,
            Hint::TooDark => self.hint_too_dark,
            Hint::TooBright => self.hint_too_bright,
            Hint::Blurred => self.hint_blurred,
        }
    }

    /// What is broken and what to do.
    pub fn fault(&self, fault: Fault) -> Words {
        match fault {
            Fault::Camera => self.fault_camera,
            Fault::Storage => self.fault_storage,
            Fault::Model => self.fault_model,
            Fault::Panel => self.fault_panel,
            Fault::Settings => self.fault_settings,
        }
    }
}

const fn words(heading: &'static str, text: &'static str) -> Words {
    Words { heading, text }
}

const fn english(outcome: Outcome) -> Words {
    words(outcome.headline(), outcome.meaning())
}

static ENGLISH: Strings = Strings {
    disclaimer: "RESEARCH USE ONLY - NOT FOR DIAGNOSIS",
    booting: words("STARTING", "The model is being loaded."),
    ready: words("READY", "Lay a film on the light box and press the button."),
    capturing: words("PICTURE", "Do not move the film or the camera."),
    analysing: words("ANALYSING", "Please wait. The film may be taken away."),
    shutting_down: words("STOPPING", "Do not unplug the box yet."),
    off: words("OFF", "The box may be unplugged."),
    help_ready: "Press: take the picture. Hold for 5 s: switch off.",
    help_verdict: "Press: next film. Hold for 1 s: heat map.",
    help_again: "Press: go on.",
    case: "Case",
    model: "Model",
    classes: ["COVID-19", "Pneumonia", "Normal"],
    threshold: "mark: threshold",
    speaks_for: "Map: what speaks for",
    nothing_speaks_for: "No place on the film speaks for",
    least: "nothing",
    half: "half (line)",
    most: "most",
    heat_map_off: "Heat map off",
    covid19: english(Outcome::Covid19),
    pneumonia: english(Outcome::Pneumonia),
    normal: english(Outcome::Normal),
    refer: english(Outcome::Refer),
    refused: english(Outcome::Refused),
    too_small: "The film is too small in the picture. Move the camera closer.",
    too_dark: "The film is too dark. Switch the light box on, or make it brighter.",
    overexposed: "The picture is too bright. Remove glare, or dim the light box.",
    no_contrast: "Hardly any contrast. Lay a film on the light box and shade it from room light.",
    blurred: "The picture is blurred. Focus on the film and keep the camera still.",
    unfamiliar: "This does not look like a frontal chest film. Lay it upright and whole. If it is one, a trained reader \
                 must look at it.",
    low_confidence: "No class is probable enough. A trained reader must look at this film.",
    hint_no_film: "No film found. Lay it upright on the lit light box.",
    hint_too_dark: "Too dark: switch the light box on.",
    hint_too_bright: "Too bright: remove glare, or dim the light box.",
    hint_blurred: "Blurred: focus on the film.",
    fault_camera: words("CAMERA FAULT", "The camera gives no picture. Check its cable and plug it in again."),
    fault_storage: words("STORAGE FAULT", "Cases cannot be stored. No film is judged. Make room or replace the card."),
    fault_model: words(
        "MODEL FAULT",
        "The film cannot be judged. Take it again after the restart; if this stays, install the program again.",
    ),
    fault_panel: words("PANEL FAULT", "The button or the lights do not answer. Check the wires and restart the box."),
    fault_settings: words(
        "SETTINGS FAULT",
        "The settings file cannot be used. No film is judged. Correct the file and restart the box.",
    ),
};

static FRENCH: Strings = Strings {
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
    too_small: "Le cliché est trop petit sur l'image. Rapprochez la caméra.",
    too_dark: "Le cliché est trop sombre. Allumez le négatoscope ou augmentez sa lumière.",
    overexposed: "L'image est trop claire. Évitez les reflets ou baissez le négatoscope.",
    no_contrast: "Presque pas de contraste. Posez un cliché sur le négatoscope, à l'abri de la lumière de la pièce.",
    blurred: "L'image est floue. Faites la mise au point sur le cliché et ne bougez pas la caméra.",
    unfamiliar: "Ceci ne ressemble pas à un cliché thoracique de face. Posez-le droit et entier. Si c'en est un, un \
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
    fault_panel: words(
        "PANNE BOUTON",
        "Le bouton ou les voyants ne répondent pas. Vérifiez les fils et redémarrez l'appareil.",
    ),
    fault_settings: words(
        "PANNE RÉGLAGES",
        "Le fichier des réglages est inutilisable. Aucun cliché n'est analysé. Corrigez-le et redémarrez l'appareil.",
    ),
};

static SPANISH: Strings = Strings {
    disclaimer: "SOLO INVESTIGACIÓN - NO PARA DIAGNÓSTICO",
    booting: words("INICIANDO", "Cargando el modelo."),
    ready: words("LISTO", "Coloque una placa en el negatoscopio y pulse el botón."),
    capturing: words("FOTO", "No mueva la placa ni la cámara."),
    analysing: words("ANALIZANDO", "Espere, por favor. Ya puede retirar la placa."),
    shutting_down: words("APAGANDO", "No desenchufe todavía el equipo."),
    off: words("APAGADO", "Ya puede desenchufar el equipo."),
    help_ready: "Pulsar: tomar la foto. Mantener 5 s: apagar.",
    help_verdict: "Pulsar: otra placa. Mantener 1 s: mapa.",
    help_again: "Pulsar: continuar.",
    case: "Caso",
    model: "Modelo",
    classes: ["COVID-19", "Neumonía", "Normal"],
    threshold: "marca: umbral",
    speaks_for: "Mapa, a favor de:",
    nothing_speaks_for: "Ninguna zona de la placa a favor de:",
    least: "nada",
    half: "mitad (línea)",
    most: "máximo",
    heat_map_off: "Mapa desactivado",
    covid19: words("COVID-19", "signos de neumonía por COVID-19"),
    pneumonia: words("NEUMONÍA", "signos de neumonía, no de COVID-19"),
    normal: words("NORMAL", "sin signos de neumonía"),
    refer: words("DERIVAR", "dudoso: un lector debe ver la placa"),
    refused: words("RECHAZADA", "sin resultado"),
    too_small: "La placa es demasiado pequeña en la imagen. Acerque la cámara.",
    too_dark: "La placa está demasiado oscura. Encienda el negatoscopio o aumente su luz.",
    overexposed: "La imagen es demasiado clara. Evite los reflejos o baje la luz del negatoscopio.",
    no_contrast: "Casi no hay contraste. Coloque una placa en el negatoscopio y protéjala de la luz de la sala.",
    blurred: "La imagen está borrosa. Enfoque la placa y no mueva la cámara.",
    unfamiliar: "Esto no parece una placa de tórax de frente. Colóquela derecha y entera. Si lo es, debe verla un \
                 lector formado.",
    low_confidence: "Ninguna clase es bastante probable. Un lector formado debe ver esta placa.",
    hint_no_film: "No se encuentra la placa. Colóquela derecha en el negatoscopio encendido.",
    hint_too_dark: "Demasiado oscuro: encienda el negatoscopio.",
    hint_too_bright: "Demasiado claro: evite los reflejos o baje la luz del negatoscopio.",
    hint_blurred: "Borroso: enfoque la placa.",
    fault_camera: words("FALLO DE CÁMARA", "La cámara no da imagen. Revise su cable y vuelva a conectarla."),
    fault_storage: words(
        "FALLO DE MEMORIA",
        "No se pueden guardar casos. No se analiza ninguna placa. Libere espacio o cambie la tarjeta.",
    ),
    fault_model: words(
        "FALLO DEL MODELO",
        "No se puede analizar la placa. Fotografíela de nuevo tras el reinicio; si continúa, reinstale el programa.",
    ),
    fault_panel: words("FALLO DEL BOTÓN", "El botón o las luces no responden. Revise los cables y reinicie el equipo."),
    fault_settings: words(
        "FALLO DE AJUSTES",
        "El archivo de ajustes no se puede usar. No se analiza ninguna placa. Corríjalo y reinicie el equipo.",
    ),
};

static PORTUGUESE: Strings = Strings {
    disclaimer: "SOMENTE PESQUISA - NÃO PARA DIAGNÓSTICO",
    booting: words("INICIANDO", "Carregando o modelo."),
    ready: words("PRONTO", "Coloque uma radiografia no negatoscópio e aperte o botão."),
    capturing: words("FOTO", "Não mova a radiografia nem a câmera."),
    analysing: words("ANALISANDO", "Aguarde. A radiografia já pode ser retirada."),
    shutting_down: words("DESLIGANDO", "Não tire o aparelho da tomada ainda."),
    off: words("DESLIGADO", "O aparelho já pode ser tirado da tomada."),
    help_ready: "Apertar: tirar a foto. Segurar 5 s: desligar.",
    help_verdict: "Apertar: próxima radiografia. Segurar 1 s: mapa.",
    help_again: "Apertar: continuar.",
    case: "Caso",
    model: "Modelo",
    classes: ["COVID-19", "Pneumonia", "Normal"],
    threshold: "marca: limiar",
    speaks_for: "Mapa, a favor de:",
    nothing_speaks_for: "Nenhuma área da radiografia a favor de:",
    least: "nada",
    half: "metade (linha)",
    most: "máximo",
    heat_map_off: "Mapa desligado",
    covid19: words("COVID-19", "sinais de pneumonia por COVID-19"),
    pneumonia: words("PNEUMONIA", "sinais de pneumonia, não de COVID-19"),
    normal: words("NORMAL", "sem sinais de pneumonia"),
    refer: words("ENCAMINHAR", "incerto: um leitor deve ver a radiografia"),
    refused: words("RECUSADA", "sem resultado"),
    too_small: "A radiografia está pequena demais na imagem. Aproxime a câmera.",
    too_dark: "A radiografia está escura demais. Ligue o negatoscópio ou aumente a luz.",
    overexposed: "A imagem está clara demais. Evite reflexos ou diminua a luz do negatoscópio.",
    no_contrast: "Quase não há contraste. Coloque uma radiografia no negatoscópio e proteja-a da luz da sala.",
    blurred: "A imagem está desfocada. Foque a radiografia e não mova a câmera.",
    unfamiliar: "Isto não parece uma radiografia de tórax de frente. Coloque-a direita e inteira. Se for uma, um \
                 leitor treinado deve vê-la.",
    low_confidence: "Nenhuma classe é provável o bastante. Um leitor treinado deve ver esta radiografia.",
    hint_no_film: "Nenhuma radiografia encontrada. Coloque-a direita no negatoscópio ligado.",
    hint_too_dark: "Escuro demais: ligue o negatoscópio.",
    hint_too_bright: "Claro demais: evite reflexos ou diminua a luz do negatoscópio.",
    hint_blurred: "Desfocado: foque a radiografia.",
    fault_camera: words("FALHA DA CÂMERA", "A câmera não dá imagem. Verifique o cabo e conecte-a de novo."),
    fault_storage: words(
        "FALHA DE MEMÓRIA",
        "Os casos não podem ser gravados. Nenhuma radiografia é analisada. Libere espaço ou troque o cartão.",
    ),
    fault_model: words(
        "FALHA DO MODELO",
        "A radiografia não pode ser analisada. Fotografe-a de novo após o reinício; se continuar, reinstale o programa.",
    ),
    fault_panel: words("FALHA DO BOTÃO", "O botão ou as luzes não respondem. Verifique os fios e reinicie o aparelho."),
    fault_settings: words(
        "FALHA DE AJUSTES",
        "O arquivo de ajustes não pode ser usado. Nenhuma radiografia é analisada. Corrija-o e reinicie o aparelho.",
    ),
};

static CHINESE: Strings = Strings {
    disclaimer: "仅供研究 - 不得用于诊断",
    booting: words("正在启动", "正在加载模型。"),
    ready: words("就绪", "请将胶片放在观片灯上，然后按下按钮。"),
    capturing: words("正在拍照", "请勿移动胶片或相机。"),
    analysing: words("正在分析", "请稍候。胶片可以取下。"),
    shutting_down: words("正在关机", "请先不要拔掉电源。"),
    off: words("已关机", "现在可以拔掉电源。"),
    help_ready: "短按：拍照。长按5秒：关机。",
    help_verdict: "短按：下一张胶片。长按1秒：热图。",
    help_again: "短按：继续。",
    case: "病例",
    model: "模型",
    classes: ["新冠肺炎", "其他肺炎", "正常"],
    threshold: "标记：阈值",
    speaks_for: "热图，支持：",
    nothing_speaks_for: "胶片上没有区域支持：",
    least: "无",
    half: "一半（线）",
    most: "最强",
    heat_map_off: "热图已关闭",
    covid19: words("新冠肺炎", "有新冠肺炎征象"),
    pneumonia: words("其他肺炎", "有肺炎征象，但非新冠肺炎"),
    normal: words("正常", "未见肺炎征象"),
    refer: words("请医生阅片", "不能确定：须由阅片者查看"),
    refused: words("无法判断", "没有结果"),
    too_small: "胶片在画面中太小。请将相机移近。",
    too_dark: "胶片太暗。请打开观片灯或调亮。",
    overexposed: "画面过亮。请消除反光或调暗观片灯。",
    no_contrast: "几乎没有对比度。请将胶片放在观片灯上，并遮挡室内光线。",
    blurred: "画面模糊。请对准胶片调焦，并保持相机不动。",
    unfamiliar: "这不像正位胸片。请将胶片摆正并完整放入画面。如果确是胸片，须由受过培训的阅片者查看。",
    low_confidence: "没有一类的概率足够高。须由受过培训的阅片者查看此胶片。",
    hint_no_film: "未找到胶片。请将胶片摆正放在点亮的观片灯上。",
    hint_too_dark: "太暗：请打开观片灯。",
    hint_too_bright: "太亮：请消除反光或调暗观片灯。",
    hint_blurred: "模糊：请对准胶片调焦。",
    fault_camera: words("相机故障", "相机没有图像。请检查线缆并重新插上。"),
    fault_storage: words("存储故障", "无法保存病例，不再分析胶片。请腾出空间或更换存储卡。"),
    fault_model: words("模型故障", "无法分析胶片。请在重新启动后重新拍照。如果故障再出现，请重新安装程序。"),
    fault_panel: words("按钮故障", "按钮或指示灯没有响应。请检查接线并重新启动。"),
    fault_settings: words("设置故障", "设置文件无法使用，不再分析胶片。请更正文件并重新启动。"),
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_language_goes_by_its_code() {
        for language in Language::ALL {
            assert_eq!(serde_json::to_string(&language).unwrap(), format!("{:?}", language.code()));
        }
    }

    #[test]
    fn every_reason_has_a_text_in_every_language() {
        for language in Language::ALL {
            for reason in Reason::ALL {
                assert!(language.strings().reason(reason.code()).is_some(), "{language} {reason:?}");
            }
            assert_eq!(language.strings().reason("network_fault"), None);
        }
    }
}
