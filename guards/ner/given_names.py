"""Given names and family names that many people bear, in Latin letters.

Only evidence: a word in here is not yet a person, and most people's names are not in here. Written for this purpose and
drawn from no other list.
"""

from __future__ import annotations

_GIVEN = """
aaron abigail adam adrian aidan aiden alan albert alex alexander alexandra alexis alfred alice alicia alison allan
allen allison alyssa amanda amber amelia amy andrea andrew angela angus anita ann anna anne annie anthony antonia
arnold arthur ashley audrey barbara barry beatrice becky ben benjamin bernard beth bethany betty beverly bob bobby
bonnie brad bradley brandon brenda brendan brian bridget bruce bryan caitlin calvin cameron carl carla carly carol
caroline carolyn catherine cathy cecilia chad charles charlie charlotte chelsea cheryl chloe chris christian christina
christine christopher cindy claire clara clarence clifford clyde cody colin colleen connie connor courtney craig
crystal curtis cynthia daisy dale dan daniel danielle danny darlene darren dave david deborah debra declan denise
dennis derek diana diane dominic don donald donna doris dorothy doug douglas duncan dustin dylan earl eddie edgar edith
edward edwin eileen elaine eleanor elijah elizabeth ella ellen ellie elliot emily emma eric erica erin ernest esther
ethan eugene eva evelyn felicity fiona florence frances francis frank fred frederick gail gareth garry gary gavin gemma
geoffrey george georgia gerald gilbert gina gladys glenn gloria gordon graham greg gregory gwen hannah harold harriet
harry harvey hazel heather helen henry herbert hilary howard hugh ian imogen irene isaac isabel isabella isobel ivan
jack jackie jackson jacob jacqueline jade james jamie jan jane janet janice jared jasmine jason jay jean jeff jeffrey
jenna jennifer jenny jeremy jerome jerry jesse jessica jill jim jimmy joan joanna joanne jodi jodie joe joel john
johnny jon jonathan jordan joseph josephine josh joshua joyce juan judith judy julia julian julie june justin karen
kate katelyn katherine kathleen kathryn kathy katie kay kayla keith kelly kelsey ken kenneth kerry kevin kieran kim
kimberly kirk kirsten kristen kristin kurt kyle lance larry laura lauren laurie lawrence leah lee leo leon leonard
leroy leslie lewis liam lillian lily linda lindsay lisa lloyd logan lois lola lorraine louis louise lucas lucy luke
lynn mabel madeleine madison malcolm marcus margaret maria marian marie marilyn marion marjorie marlene marsha marshall
martha martin marvin mary mason matt matthew maureen max maxine megan melanie melissa melvin mercedes meredith michael
michele michelle mick miranda miriam mitchell molly monica morgan muriel myra nancy naomi natalie nathan nathaniel neil
nicholas nick nicola nicole nigel nina noah noel nora norma norman olive oliver olivia oscar owen paige pamela patricia
patrick paul paula pauline peggy penelope perry peter phil philip phillip phoebe phyllis poppy priscilla rachel ralph
ray raymond rebecca reginald rhonda ricardo richard rick rita rob robert roberta robin rodney roger roland ron ronald
ronnie rosalind rosemary rosie ross roxanne roy ruby rupert russell ruth ryan sabrina sally sam samantha samuel sandra
sara sarah scott sean sebastian seth shane shannon sharon shaun shawn sheila shelley shirley sidney simon sophia sophie
stacey stacy stanley stella stephanie stephen steve steven stewart stuart sue susan suzanne sylvia tamara tammy tanya
tara taylor ted teresa terence terry tess thelma theodore theresa thomas tiffany tim timothy tina todd tom tommy toni
tony tracey tracy travis trevor tristan troy tyler valerie vanessa vera vernon veronica vicky victor victoria vincent
viola violet virginia vivian wade walter wanda warren wayne wendy wesley wilfred william willie winifred xavier yvonne
zachary zack zak zoe zoey agnieszka alojzy aleksandra andrzej beata bartosz bożena czesław danuta dariusz dorota ewa
elżbieta franciszek grażyna grzegorz halina henryk irena iwona jadwiga jakub jarosław jerzy józef justyna kacper kamil
karolina katarzyna kazimierz krystyna krzysztof leszek łukasz maciej magdalena małgorzata marcin marek mariusz mateusz
michał mieczysław mikołaj mirosław patrycja paweł piotr przemysław radosław rafał ryszard sławomir stanisław szymon
tadeusz tomasz urszula wacław wiesław wiesława wisława władysław wojciech zbigniew zdzisław zofia zuzanna zygmunt agnes
aneta kinga oliwia wiktor wiktoria weronika bogdan bogusław alena alžběta aleš barbora blanka božena bohumil dalibor
dušan eliška františek hana helena hynek ivana iveta jana jaromír jaroslav jaroslava jindřich jiří jitka josef jozef
ján kamila karel kateřina klára květa ladislav lenka libor lubomír lucie ludmila luboš lukáš magda marcela markéta
marta martina matěj matej michaela michal milada milan milena miloš milota miroslav miroslava monika natálie oldřich
olga ondřej otakar pavel pavla pavlína petra petr radek radim renata roman růžena rudolf simona stanislav stanislava
šárka štěpán štefan tereza tomáš václav věra viktor vladimír vladislav vlasta vojtěch zdeněk zdeňka zuzana žaneta iva
juraj ľubomír marián katarína kristína andrej miklós ágnes ákos andrás anikó antal árpád attila balázs béla bence
benedek bernadett csaba csilla dániel dávid dénes dezső dóra edit elemér emese endre enikő erika ernő erzsébet eszter
éva ferenc fruzsina gábor géza gergely gizella györgy gyula hajnalka ibolya ildikó ilona imre istván iván jános jenő
józsef judit julianna kálmán kata katalin klaudia kornél krisztián krisztina lajos lászló levente lili loránd magdolna
máté mátyás melinda mihály móricz nikolett norbert olivér orsolya ottó pál péter pista rebeka réka richárd róbert
sándor szabina szabolcs szilárd szilvia tamás tibor timea tivadar tünde vilmos viktória zita zoltán zsófia zsolt
zsuzsanna aleksandar ana andrija ante anđelka biljana bojan boris branko branka damir danica danijel darko davor dejan
domagoj dragan dragana dražen dubravka dunja đorđe edin elvir emir enver filip goran gordana hrvoje igor ivica ivo
ivona jadranka jasmina jelena josip jovan jovana jure katja katarina krešimir lejla luka ljiljana maja marija marijana
marina marko mateja matija mehmed milica milorad miljenko miodrag mirjana mirko mladen mojca nada nataša nebojša
nemanja nenad neven nikola ognjen predrag radmila ratko rade sanja saša senad slavica slavko slobodan snežana sonja
srđan stevan stjepan svetlana tanja tatjana tihomir tomislav urška uroš vesna vlado vladan vuk zdenka zdravko zlatko
zoran zorica zvonimir željko žiga anže aleksej alexei aleksandr aleksey alyona anastasia anatoly andrei andrey anton
arkady artem artyom daria denis dmitri dmitry ekaterina elena evgeny evgenia fyodor galina gennady georgy gleb grigory
ilya inna irina kirill konstantin kseniya larisa leonid lidia lyudmila maksim maxim mikhail nadezhda natalia natalya
nikita nikolai nikolay oksana oleg oleksandr olena pyotr polina ruslan sergei sergey sofya taras tatiana timur vadim
valentin valentina valery vasily vitaly vladimir volodymyr vyacheslav yana yaroslav yegor yevgeny yulia yuri zinaida
zhanna dina rinat aslan ramzan alina achim albrecht andreas anja anke anneliese annette antje arndt astrid axel bernd
bernhard birgit björn brigitte burkhard carsten christa christof christoph claudia claus clemens cornelia dagmar detlef
dieter dietmar dirk dominik doreen dörte eberhard eckhard edeltraud elfriede elisabeth elke elsa erich ernst erwin
evelin florian franz friederike friedrich frieda fritz gabi gabriele gerd gerda gerhard gertrud gisela gottfried greta
gudrun günter günther gunther gustav hannelore hanna hans harald hartmut heike heiko heiner heinrich heinz helga helmut
hermann hilde hildegard holger horst hubert ilse inge ingeborg ingo ingrid ines irmgard jens joachim jochen johann
johanna johannes jonas jörg jürgen jutta kai karin karl karla karl-heinz katharina kathrin katrin kerstin klaus konrad
kristina lars leonie lena lieselotte lothar lorenz ludwig lukas lutz manfred manuela margarete margit margot marlies
mathias matthias mareike marlen maximilian meike mechthild moritz nadine nadja nele nicolas nils niklas olaf oskar otto
patrizia philipp raimund rainer ralf regina reiner reinhard reinhold renate rolf rosa roswitha rüdiger sabine sascha
siegfried sigrid silke silvia simone stefan stefanie steffen susanne svenja sven theo thilo thorsten tilo till tobias
torsten traudel traute udo ulrich ulrike ursula ute uwe veronika viktoria volker volkmar waltraud walther werner
wilhelm willi wolfgang wolfram yannick gerlinde ortwin adrien agathe agnès alain albane alexandre aline amandine amélie
anaïs andré anne-marie annick antoine armelle arnaud aurélie aurélien baptiste bastien béatrice benoît bernadette
bertrand bruno camille capucine carole cécile céline chantal christelle christiane christophe claude claudette clément
clémence clotilde colette corinne cyril damien danièle delphine didier dominique édouard éliane élise élodie émile
émilie emmanuel emmanuelle éric estelle étienne eugénie fabien fabienne fabrice félix fernand florent franck françois
françoise frédéric frédérique gaëlle gaëtan gaston genevieve geneviève georges gérald gérard germaine ghislaine gilles
ginette gisèle grégory guillaume gustave guy gwenaëlle hélène henri hervé honoré hugo hugues huguette isabelle jacques
jean-claude jean-luc jean-pierre jean-paul jeanne jeannette jeannine jérémie jérôme jocelyne joël joëlle josette
josiane jules juliette julien karine laetitia laurence laurent léa léo liliane loïc luc lucien ludovic magali marc
marcel margaux marianne marie-claude marie-france marielle marine marius marthe mathieu mathilde mathis matthieu
maurice mélanie michel mireille monique mylène nadège nathalie noémie odette odile olivier pascal pascale patrice
paulette philippe pierre pierrick quentin raphaël raymonde rémi rémy renaud rené renée romain rosalie sandrine serge
séverine solange solène stéphane stéphanie sylvain sylvaine sylvie théo thérèse thibault thierry valérie véronique
virginie viviane xavière yann yves yvette yvon zoé agate abel adela adolfo adriana agustín agustin alba alberto
alejandra alejandro alfonso alfredo alma alonso álvaro amadeo amparo andrés ángel ángela antonio araceli arturo
asunción aurelio beatriz belén benito blanca carlos carmen carolina catalina césar claudio concepción consuelo cristina
cristóbal daniela diego dolores domingo edgardo eduardo elisa emilia emilio encarnación enrique ernesto esperanza
esteban estela eugenio eusebio fabián fátima federico felipe fermín fernanda fernando francisca francisco gabriel
gabriela gerardo gonzalo graciela gregorio guadalupe guillermo gustavo héctor hernán hortensia ignacio inés inmaculada
isidro ismael jacinto jaime javier jerónimo jesús joaquín jorge josé jose josefa josefina juana julieta julio lázaro
leandro leonardo leonor leticia lorenzo lourdes lucía luis luisa luz macarena manolo manuel marcelo marcos margarita
maría mariana mariano maribel mario marisa marisol martín matías mauricio mayra miguel milagros mónica montserrat
nicolás nieves noelia norberto nuria octavio óscar pablo paloma paola patricio pedro pilar rafael raimundo ramiro ramón
raquel raúl rebeca roberto rocío rodolfo rodrigo rogelio rosario rubén salvador santiago saúl sebastián sergio sofía
sofia soledad susana teodoro tomás trinidad verónica vicente víctor violeta ximena yolanda afonso amália anderson
antônio bárbara benedito bernardo breno bruna caetano caio camila célia cláudia cláudio danilo davi débora diogo edson
eduarda elisângela érica estevão fábio fabiana flávia flávio geraldo giovana gilberto guilherme heitor henrique inês
isabela ivone joana joão júlia juliana júlio kauã laís lara larissa letícia lívia luana luciana luciano luís luiz luiza
manoel márcia márcio marco marília martim mateus matheus matilde maurício mirela murilo nelson nuno otávio paulo
priscila rafaela renan renato rogério rosana rui ruy sandro sílvia sônia tânia teresinha thaís thiago tiago tomé valdir
vinícius vitor vitória wagner washington yasmin achille adele agata agnese aldo alessandra alessandro alessia alessio
alfio ambra amedeo angelo annalisa annamaria antonella antonino arianna armando aurora benedetta bianca biagio carlo
carlotta carmela carmine caterina chiara cinzia concetta corrado cristiano damiano daniele dario davide debora domenico
donatella donato edoardo eleonora elisabetta emanuela emanuele enrico enzo ettore fabio fabrizio federica felice
ferdinando filippo filomena fiorenza flavio francesca francesco franco fulvio gabriella gaetano gennaro giacomo
gianfranco gianluca gianni gianpaolo ginevra gino giordano giorgia giorgio giovanna giovanni giulia giuliana giuliano
giulio giuseppe giuseppina grazia graziella guido ida ignazio ilaria immacolata ivano lamberto letizia lia liliana
liviana livio lorenza loredana luca lucia lucrezia ludovica luigi luigia marcella marcello margherita mariangela marino
massimo massimiliano matteo maurizio mauro michela michelangelo mirella nadia natale nicolò nunzia omar oreste orazio
ornella ottavio paolo pasquale piera pierluigi piero pietro raffaella raffaele renzo riccardo rinaldo rocco romano
romina rosanna rosaria rossana rossella ruggero sabina salvatore samuele serena silvana silvio sonia stefania stefano
susanna tiziana tiziano tommaso ugo umberto valeria valerio vincenzo vito vittoria vittorio viviana zelinda adalgisa
aagje aaltje adriaan aleida anneke annelies arie arjan arjen barend bart bas bastiaan bram carolien cees coen cor
cornelis daan elif els esmée evert femke ferry frans freek gerard gerrit gert geert gijs hanneke hendrik hendrika henk
herman ineke jaap jacoba jacobus janneke jantje jasper jeroen jelle job joep johan joke joop joost joris jorrit jos
jurgen kees klaas koen lambert laurens leendert leontien lieke lies lisette lotte luuk maaike maarten maartje machteld
margriet marieke marijke marjolein marloes marleen martijn mathijs mieke nynke nienke noor petronella pieter pim piet
reinier remco renske rianne riet rik roel roos rutger ruud saskia sander sanne sjaak sjoerd sietske stijn teun teunis
theun thijs tijmen truus wessel wiebe wilhelmina willem willemijn willemine wim wouter yorick agnete aksel albin anders
anette ann-christin anneli annika arne arvid asger åsa åse august barbro bengt bente berit bertil birgitta birger birte
bjarne bjørn bo bodil börje britt britta camilla carina casper cecilie christer christoffer dag dagny ditte ebba edvard
einar eirik eivind elin elina elisabet emil emilie emmie erik erling espen even fabian fredrik freja frida frode georg
gitte gösta grete gro gun gunhild gunilla gunnar gunvor gustaf håkan håkon halvor hanne hedda hedvig heidi helge helle
henning henrik hilda hjalmar inga inger isak jakob janne jeppe jesper joakim jorunn jørgen jørn josefine kaare kaja
kåre kari karoline karsten katrine ketil kirstine kjell kjersti klara knud knut kristian kristoffer lasse lennart leif
lene linnea linus lise lisbeth liv lone lotta ludvig mads magne magnus malin margareta margrethe marit mats merete
mette mia mikael mikkel mogens moa morten nanna niels nikolaj oda odd ola olav ole olof ove øystein øyvind per pernille
peder pelle pontus preben ragna ragnar ragnhild randi rasmus roald rune sanna siv sigurd signe silje sindre siri sissel
sofie solveig søren sten stig stian stine svein svend synne synnøve terje thea therese thor thorbjørn thorvald tor tora
torben tord tore torgeir torill torstein tove trine troels trond trude tuva ulf ulla ulrik vibeke vidar viggo vigdis
vilde vilhelm vilma vivi wenche yngve zara aino ainikki aki anna-liisa annikki anssi antero antti ari arja arto asko
auli eero eeva eija eino elli ensio erkki esa esko hannele hannu harri heikki heli helmi henna hilkka hannes iida ilkka
ilmari inkeri irma jaakko jani jari jarkko jorma jouko jouni juha juhani juho jukka jussi kaarina kaija kalervo kalevi
kerttu kimmo kirsi kyllikki kyösti lauri lassi leena leevi liisa maarit mari marja marjatta markku martti matti mauri
mika mikko minna miika mirja niina niko oili olavi olli onni orvokki oskari outi paavo päivi pasi pauli pekka pentti
pertti petri pia pirjo pirkko raija raili raimo rauni reijo riikka riitta risto ritva saara saija sakari sami sampo
sanni santeri sari satu seija seppo siiri sinikka sirkka sirpa sisko soili suvi taina taisto taneli tapani tapio tarja
teemu teppo terhi tero terttu tiina timo toivo tomi tommi topi touko tuija tuomas tuomo tuula tuuli tyyne unto urho
urpo väinö veera veijo vesa vilho ville virpi aðalbjörg árni ásdís ásgeir ásta baldur birgir birna bjarni bragi bryndís
dagný dagur davíð elín elínborg erla erlingur eyþór finnur friðrik gísli guðbjörg guðmundur guðni guðrún gyða hákon
halldór halldóra hallgrímur haraldur haukur helgi hildur hjalti hjördís hrafn hulda ingibjörg ingólfur ísak jóhann
jóhanna jón jónas jónína katrín kjartan kristbjörg kristinn kristín lilja magnús margrét ólafur ólöf óskar páll pétur
ragnheiður rósa sigríður sigrún sigurður sigurjón snorri sólveig stefán steinunn sunna svanhildur svava þóra þórarinn
þórdís þorsteinn þórunn unnur valgerður vilhjálmur yrsa ýmir örn abdallah abdel abdul abdullah abdulrahman abu adel
adnan ahlam ahmad ahmed aisha akram ali amal amani amina amin amir amira anas anwar aqib arif asim asma ayesha ayman
aziz aziza badr bahar bashir basma bilal dalia daoud emad fadi fadila faisal farah fares farid farida faris faruq fathi
fatima fatma fawzi firas fuad ghada ghassan habib hadi hafsa haider haitham hakim hala halima hamad hamid hamza hanan
hani hasan hassan haya hisham huda husam hussain hussein ibrahim iman imad imran iqbal ishaq ismail issa jaber jabir
jalal jamal jamil jamila jawad kamal karim karima kareem khadija khalid khaled khalil laila lamia latifa layla lina
lubna mahmoud mahdi maha majid malak malik mansour marwa marwan maryam mazen mehdi mohamed mohammad mohammed mona
mostafa mourad muhammad mukhtar muna munir musa mustafa nabil nabila nadeem nahla naima najib najwa nasser nasir nawal
nizar nour noura omer osama qasim rabia rachid rafiq rahim rania rashid rasha reem rida riyad sabah saad sadiq saeed
said salah saleh salem salim salma salman samar sameer samia samir samira sana sawsan shadi shadia shahid shakir sherif
suad suha sulaiman sultan syed tahir talal tamer tariq tarek usman wafa walid wasim yahya yasser yasin yasmine younes
yousef youssef yusuf zahra zaid zaki zainab zakaria zeinab ziad amine asghar azadeh babak bahman behnam dariush ehsan
elham farhad fariba farzaneh fereshteh hamed hooman hossein javad kamran kaveh keyvan khosrow laleh leila mahnaz mahsa
masoud mehran mina mohsen morteza nasrin nazanin niloofar omid parisa parviz payam pouya reza roya saman samaneh
shahram shahrzad shirin siamak siavash simin soheil soraya vahid yasaman ayşe ahmet aslı aylin ayhan aynur berk burak
bülent can cansu cem cemal cenk deniz derya ebru ece emine emre engin ercan erdem eren erkan esra evren fadime fatih
ferhat filiz gökhan gül gülay gülşen hakan halil hatice hüseyin ilker ipek kadir kemal kerem koray kübra levent mehmet
melek melike meltem merve mert murat nazlı nesrin nihat nilgün nurcan oğuz okan onur orhan osman ömer özge özgür özlem
pelin pınar ramazan recep sedat selçuk selim selin serap serdar serkan sevgi sevil sibel sinan şebnem şule tolga tuba
tuğba turgut ufuk uğur umut ümit volkan yasemin yavuz yıldız yılmaz yunus zehra zeynep aditi aditya ajay akash akhil
akshay amit amitabh amrita anand ananya anil anirudh anjali ankit ankita ankur anuj anupam anuradha aparna archana
arjun arun aruna arvind asha ashish ashok ashwin bhavna chandra chetan deepa deepak deepika dev devi dhruv dinesh divya
ganesh gaurav gauri gautam gita gopal govind hari harish harsh hema hemant indira isha jagdish jaya jayant jyoti
kailash kamala karan karthik kavita kavya kiran komal kriti krishna kumar kunal lakshmi lalita lata madhav madhu
madhuri mahesh mala manish manisha manoj maya meena meera meghna milind mohan mohit mukesh mukul murali nandini narayan
naresh naveen neelam neeraj neha nikhil nisha nishant nitin pankaj parvati pooja prabhakar pradeep prakash pramod
pranav prasad prashant pratibha praveen preeti prem priya priyanka rahul raj raja rajeev rajendra rajesh rajiv raju
rakesh ram rama ramesh rani ranjit ravi ravindra rekha renu ritu rohan rohit roshan sachin sandeep sangeeta sanjay
sanjiv santosh sarita saroj satish saurabh savita seema shalini shankar sharad shashi sheela shilpa shiva shreya shruti
shweta siddharth sita smita sneha sonal sudha sudhir suman sumit sunil sunita suraj suresh surya sushma swati tanvi
tarun uday uma umesh usha vaibhav vandana varun vidya vijay vikas vikram vimal vinay vinod vishal vivek yash yogesh
akira aiko akiko asuka atsushi ayaka ayumi chiyo daichi daiki daisuke emi emiko eri fumiko fumio goro haruka haruki
haruko haruto hideaki hideki hideo hiro hiroki hiroko hiromi hiroshi hiroto hisashi hitomi ichiro isamu jiro jun junko
kaede kaito kana kaori katsuo katsumi kazuhiko kazuki kazuko kazuo kei keiko keisuke kenichi kenji kenta kiyoshi koichi
koji kumiko kyoko madoka makoto mami mana manabu mariko masaaki masahiro masaki masako masao masaru masato mayumi
megumi michiko midori miho minako minoru misaki mitsuko mitsuo miyuki naoki naoko natsuki noboru nobuko nobuo noriko
norio osamu reiko ren rie rina ryo ryoko ryota ryuji sachiko saki sakura satoko satoru satoshi sayaka sayuri seiichi
setsuko shigeru shin shinichi shinji shiori shizuka sho shoji shota sora sumiko susumu tadashi taichi takahiro takako
takao takashi takeo takeshi takumi taro tatsuya tetsuo tetsuya tomoko tomomi toru toshiko toshio tsubasa tsutomu yoko
yasuko yasuo yoshiko yoshio yuichi yui yuji yuka yukari yuki yukiko yukio yumi yumiko yuriko yusuke yuta yutaka eun-ji
eunji hae-won haneul hye-jin hyejin hyun-woo hyunjin ji-eun ji-hoon ji-hye jihoon jihye jimin jin-woo jisoo joon-ho
junho jung-hee kyung-soo mi-kyung min-ji min-jun minho minji minjun sang-hoon seo-yeon seojun seoyeon seung-hyun
so-young soo-jin sunghoon woo-jin young-ho young-hee yoon-ah bao chau dung duc giang hanh hieu hoa hoang hung huong
khanh khoa lan linh loan long mai minh nam nga ngan ngoc nguyet nhi nhung oanh phong phuc phuong quan quang quoc quyen
quynh son tam thao thanh thi thinh thu thuy tien toan trang tran trinh trung tuan tuyen tuyet uyen viet vinh xuan yen
ming wei xiaoming xiaoyu jianguo jianhua jianjun guoqiang haiyan hongmei huifang jiahui junjie lihua lijuan meiling
qiang weiming xiuying xiaohong yanyan yifan yuxuan zhiqiang zihan ziyi zhenyu abena abiola ade adebayo adebola adaeze
adetokunbo akinyi ama amaka amara aminata ayodele babajide babatunde chiamaka chibuike chidi chidinma chike chima
chimamanda chinedu chinonso chinwe chioma chisom chukwudi chukwuma ebele efua ekene ekow emeka esi esosa fatou folake
funke gyasi habiba ifeanyi ifeoma ikechukwu ikenna jelani jomo juma kamau kelechi kofi kojo kwabena kwaku kwame kwasi
kwesi lindiwe makena mamadou mandla mariama mbali moussa mthunzi mwangi nana ndidi nia ngozi njeri nkechi nkosana
nnamdi nneka nomvula nosipho nthabiseng obinna odhiambo ogechi okechukwu olamide olufemi olumide oluwaseun onyeka oumar
ousmane salif sefu segun sekou sipho sizwe tendai thabo thandiwe themba thulani tunde uche ugochukwu wangari wanjiku
yaa yaw yetunde zanele zola abraham adina amos anat ariel asher avi aviva avraham baruch chaim chana dafna daphna dov
efraim eitan eli eliezer ezra gideon gilad haim hadassah ilan ilana itai itamar menachem mordechai moshe naftali noa
noam ofer omri oren orly pinchas rivka ronen shai shimon shira shlomo shmuel shoshana tali tamar tova tzvi uri yael
yair yaakov yehuda yehudit yigal yitzhak yoav yochanan yoel yonatan yosef zahava zeev ziva alexandros anastasios
angeliki antonis apostolos argyro aristides athanasios chara charalambos christos chrysoula despina dimitra dimitrios
dimitris eftychia eleftheria eleni evangelia evangelos fotini georgios giannis giorgos ilias ioanna ioannis irini
kalliopi katerina konstantina konstantinos kostas kyriakos lefteris leonidas loukas michalis nektarios nikolaos nikos
panagiota panagiotis panos paraskevi pavlos petros sotirios spiros spyridon stamatis stavros stelios stylianos thanos
theodora theodoros theodosia vasiliki vasilis vasso yannis zoi xenia ivalu nivi aqqaluk nuka pipaluk aleqa inunnguaq
qillaq adrianna adriano alvin aretha benny billie blake bryce byron cassandra cedric clayton clinton damian darius
darrell darryl deandre dexter duane dwight elton elvis emanuel erick ernestine felicia frederic freddie grant hector
ira jamaal jermaine kendra kristi kristine lamar latoya lionel lorena lucille luther lydia marcia mathew mildred minnie
moses natasha nettie otis pearl preston quinn ramon randall randy raul rene rex roosevelt rufus shelby sherri sherry
silas sonya spencer sylvester terrance thaddeus tonya tyrone velma vicki wallace willard wilma winston sinead sinéad
siobhan siobhán niamh aoife saoirse ciara caoimhe orla roisin róisín maeve gráinne grainne deirdre eoin cian oisín
oisin pádraig padraig seamus séamus fergus conor ronan rory dónal donal éamon eamon tadhg alasdair hamish iain callum
ewan isla morag rhys carys cerys siân sian bronwyn gwyneth ieuan emrys angharad bálint borbála dorina hanga zsombor
benjámin márta bíborka anežka naděžda kristýna teodor květoslava radka šimon matyáš cezary tobiasz miłosz bianka bartek
kornelia nikodem noël philippine célina auguste victorine ainara jordán evita bernardino ricarda cipriano ermes martino
melania ludovico benthe mees noëlle fenna jip tygo wilfried beate ayse marie-theres horst-dieter heinz-peter
hans-jürgen eva-maria anna-lena mikaela ellinor irmeli osmo riku armas jenni miia veikko nesip gülsüm şerife hayriye
necla cemile halime sevim ayten saniye emrah tuncay kaan alperen furkan enes bora atakan wazir devansh charvi vivaan
aarav ishaan reyansh saanvi aanya kiara anvi harpreet gurpreet manpreet jaspreet simran balwinder parminder laurențiu
robertina dafina natașa ionuț bogdana mihai mihaela andreea gheorghe constantin ștefan florin cătălin camelia corina
cosmin costel cristian daciana denisa doina dorin dumitru eugen georgiana grigore horia ileana ilinca ioan ioana ion
iulia iulian laurentiu lavinia liviu luminița mircea nicoleta nicușor octavian oana ovidiu petre radu raluca răzvan
roxana ruxandra sanda silviu sorin sorina teodora traian tudor valeriu vasile virgil viorel duje tea željka lucija ika
mate šime toma tomo roko ogooluwa olasunmbo ibironke adebiyi boluwatife omolara bukola damilola folasade temitope
titilayo olayinka olusegun oluwatobi ayomide bolanle gbenga kunle lekan rotimi seyi sola tayo tobi toyin wale yemi budi
siti dewi agus wawan bambang slamet sri endang joko wahyu eko dwi indah ratna lestari putri rizki yanti hendra dedi
asep nurul fitri yuni heru iwan rudi susanto darma kadek ketut komang nyoman wayan made gede emanuelly kamilly ágatha
clarice ester yago ulysses
"""

# Borne by many, and words as well: evidence only beside other evidence, and never in lower case.
_ALSO_WORDS = """
amber angel april art ash august aurora autumn bill blake bob brook buck can carol chance charity chase chuck clay
cliff colt dale dawn dean destiny don drew earl even faith felicity fern finch flora frank gene georgia glen grace
grant guy hale harmony hazel heath herb holly homer hope hunter iris ivy jack jade jasmine jay jean jewel joy june kay
kit lance lane lily mark marina mason max may melody mercedes mike mina miles misty moss nana nick nova olive pat
patience paris pearl penny pierce pilar pip pol poppy prudence ray reed rich river rob robin rock rod rose ross ruby
rusty sage sally sandy savannah scarlet sierra skip skye sky sonny sonic star stella sterling stone summer sue sunny
tab tad teddy terry tiffany troy trinity victor victory viola violet virginia wade ward warren wayne will willow woody
wren ada alexa austin bali berk brad camille carmine cecil chad chelsea claude cody dallas denis devon diana dolores
elan elsa eve florence franco geneva gloria gray houston india israel jenkins jersey jordan judo kent lan latina laurel
logan london long loris lotus lourdes luna madison malta manual milan minh moody morgan nam nan nia orlando page paige
perla perry petra phoenix pluto rama ram raja rida roman roy rust sahara salem salt salvador sam samba santiago saul
scala sega shell sharp sidney siri sol son sonata sora swift sydney tam tang tango tara tex thinh thu trinidad umut
vera victoria vienna wallace walker washington watson wilson win yen zen bo cor dag dan das dev duc els em eva gro ida
ira job jon jos ken lex lin liv lone lux mai mac mal mat mats mo moa mona nada noa odd ola ole oli ove pan per pia pim
ren rex rik ron rune sari sid sten stig thor till tor toro tuba uma uri ute val van vi yaw yes zoi kali linux perl
julia crystal go dart eiffel clean opal pascal auguste tea mate ion made tobi sola gede evita
"""

_FAMILY = """
adams adeyemi aguilar ahmed alexander ali allen alvarez anderson andersen andersson andrews appiah armstrong arnold
asante bailey baker banerjee banks barnes barrett bauer becker begum bell bennett berg bernard bianchi bishop black
boateng bondarenko boyd boyle bradley brooks brown bruno bryant burke burns butler byrne campbell carlson carpenter
carr carroll carter castillo castro chan chapman chatterjee chavez chen cheng chopra choi chowdhury clark clarke cohen
coleman collins colombo conti cook cooper costa cox crawford cruz cunningham da-silva daniels das davies davis delgado
desai diaz dias dixon dubois duncan dunn durand eberhardt edwards elliott ellis evans fernandes fernandez ferrari
ferreira fischer fisher fitzgerald fleming flores ford foster fox franklin freeman fuchs fuller garcia gardner garza
george gibson gill gomes gomez gonzales gonzalez goldberg gordon gore graham grant graves gray green greene griffin
gruber gupta gutierrez guzman haas hall hamilton hansen hansson harper harris harrison hart hartmann harvey hawkins
hayashi hayes henderson henry hernandez herrera hicks hill hodge hoffman hoffmann holmes horvat horvath howard howell
huang huber hudson hughes hunt hunter hussain ibrahim ito ivanov jackson jacobs jain james jansen jenkins jensen
jimenez johansen johansson johnson johnston jones jordan joseph kaiser kang kapoor kato kaur keller kelley kelly
kennedy khan kim kimura king klein knight koch kowalski kovacs kovács krause kruger krüger kumar kuznetsov lambert lang
lange larsen larson lawrence lawson le lee lehmann leroy lewis li liang lin lindberg liu lopez lund luo lynch macdonald
maier marino marshall martin martinez mason matthews mbeki mccarthy mccoy mcdonald mehta mendes mendez mendoza mensah
meyer miller mills mitchell mohamed molina moore morales moreau morgan moreno morris morrison mueller muller müller
murphy murray mwangi myers nagy nair nakamura neumann newman nguyen nichols nielsen nilsson novak novák nunez nwosu obi
ochieng okafor okeke okonkwo oliveira olsen olson oneal ortega ortiz osei otieno owens palmer papadopoulos park parker
patel payne pereira peralta perez perkins perry peters petersen petersson peterson petrov pham phillips pierce popescu
popov porter powell price quinn ramirez ramos rao ray raymond reddy reed reid reyes reynolds ribeiro rice richards
richardson richter riley rivera roberts robertson robinson rocha rodrigues rodriguez rogers romano romero rose
rosenberg ross rossi rousseau roux roy ruiz russell russo ryan saito salazar sanchez sanders santana santos sato schmid
schmidt schmitt schneider scholz schreiber schröder schultz schulz schulze schwartz schwarz scott sharma shaw shah
shevchenko shimizu silva simmons simpson singh sinclair smirnov smith smit snyder sokolov sørensen sorensen soto souza
spencer stevens stewart stone sullivan suzuki svensson takahashi tanaka taylor thakur thomas thompson tkachenko torres
tran tucker turner van-dijk vargas vasquez vazquez vega verma virtanen vogel volkov wagner walker wallace walsh wang
ward warren washington watanabe watkins watson watts weaver webb weber weiss wells west wheeler white williams
williamson willis wilson winter wolf wolff wood woods wright wu xu yamada yamamoto yang yilmaz yılmaz young yu zhang
zhao zheng zhou zhu zimmerman zimmermann zamora zapata santiago salinas stein simon ström lind lindström bergström
lundgren lindgren ek nyström sandberg lundberg nyberg holm dahl strand moen haugen bakken lie eriksen pedersen
rasmussen christensen thomsen madsen mortensen møller poulsen knudsen korhonen mäkinen nieminen mäkelä laine heikkinen
koskinen järvinen de-vries de-jong bakker visser mulder bos vos hendriks dijkstra dekker brouwer kok maas verhoeven
esposito ricci marini greco gallo mancini giordano rizzo lombardi moretti barbieri fontana caruso mariani ferrara
santoro rinaldi leone petit laurent lefebvre michel bertrand fournier girard fontaine chevalier perrin morin gauthier
garnier faure mercier blanc guerin boyer fernández garcía gonzález rodríguez lópez martínez sánchez pérez gómez martín
jiménez hernández díaz álvarez muñoz gutiérrez suárez vázquez domínguez ramírez iglesias medina cortés guerrero lozano
cano méndez calvo gallego vidal león márquez cabrera wiśniewski wójcik kamiński lewandowski zieliński szymański
dąbrowski mazur krawczyk svoboda dvořák černý procházka kučera veselý tóth szabó horváth varga kiss molnár németh
farkas balogh papp takács juhász mészáros demir kaya çelik şahin öztürk aydın özdemir arslan doğan kılıç aslan bose
chakraborty deshmukh dutta ghosh iyer joshi kulkarni menon mishra mukherjee pandey pillai rathore saxena shukla sinha
srivastava tiwari trivedi varma yadav abbasi ansari bhatti butt chaudhry haidar javed malik mirza qureshi rana raza
sheikh siddiqui zaidi aoki endo fujita fukuda goto hashimoto hasegawa ikeda inoue ishikawa kobayashi kondo maeda
matsumoto miura mori murakami nakajima ogawa okada ono ota sakai sakamoto sasaki shibata takeda ueda wada yamaguchi
yamashita yoshida jung cho yoon jang lim han shin seo kwon hwang ahn hong phan vu dang bui do ho ngo duong ly
"""

GIVEN = frozenset(_GIVEN.split())
ALSO_WORDS = frozenset(_ALSO_WORDS.split())
FAMILY = frozenset(_FAMILY.split())
